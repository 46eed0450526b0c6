# Homebrew formula, for a tap of the project's owner. Not tested: no macOS machine was at hand.
class Podium < Formula
  desc "Choose the local chat model for the job, on evidence"
  homepage "https://github.com/OWNER/podium"
  url "https://github.com/OWNER/podium/releases/download/v@VERSION@/podium-bench-@VERSION@.tgz"
  sha256 "@TARBALL_SHA256@"
  license "MIT"

  depends_on "deno"

  def install
    libexec.install Dir["*"]
    (bin/"podium").write <<~SH
      #!/bin/sh
      exec "#{Formula["deno"].opt_bin}/deno" run --quiet --allow-all --no-config "#{libexec}/podium.mjs" "$@"
    SH
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/podium --version")
    assert_match "podium bench", shell_output("#{bin}/podium --help")
  end
end
