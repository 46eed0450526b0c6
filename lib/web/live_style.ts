/** The style of all live pages: the report's colours and type, light and dark, over the whole width of a screen. */
import { pageStyle } from "../report/page_style.ts";

export const liveStyle = `${pageStyle}
body { max-width: none; padding: 1.2rem 1.6rem 3rem; }
h1 { margin: 0; }
h2 { margin: 1.4rem 0 0.6rem; padding-top: 0.6rem; }
progress { width: 100%; height: 0.5rem; accent-color: var(--accent); }
button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.3rem 0.9rem; min-height: 2.4rem; cursor: pointer; }
button:hover:enabled { border-color: var(--accent); }
button:disabled { opacity: 0.5; cursor: default; }
button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--ground); font-weight: 650; }
button:focus-visible, pre:focus-visible, textarea:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[hidden] { display: none; }
`;

/** Also used by the pages for rating and comparing answers. */
export const answersStyle = `${liveStyle}
body { max-width: 90rem; padding: 0.5rem 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: center; }
header p { margin: 0.3rem 0; max-width: none; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, max(24rem, 40%)), 1fr)); gap: 0 2rem; }
section { min-width: 0; }
h2 { font-size: 1rem; margin: 0.6rem 0 0; padding: 0; border: 0; }
details { border: 0; }
summary { padding: 0.2rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; border: 1px solid var(--line); border-radius: 6px;
  padding: 0.6rem; margin: 0.3rem 0 0.8rem; overflow: auto; }
kbd { font: inherit; font-size: 0.85em; border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3rem; }
.failed { color: var(--alert); font-weight: 650; }
`;
