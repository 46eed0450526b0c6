"""Makes a variant of a model for tests: dequantises the weights of a GGUF file and quantises them again.

python3 requantise.py MODEL.gguf VARIANT.gguf Q8_0|Q4_0

Made from a file that is quantised already, a variant tests the machinery; it says nothing about such variants of the
original weights.
"""

import sys

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

source, target, name = sys.argv[1:]
reader = GGUFReader(source)
writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
for field in reader.fields.values():
    if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
        continue
    kind = field.types[0]
    writer.add_key_value(
        field.name,
        field.contents(),
        kind,
        sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None,
    )
for tensor in reader.tensors:
    weights = quants.dequantize(tensor.data, tensor.tensor_type).astype("float32")
    # Norms are vectors, and stay as they are.
    is_matrix = len(tensor.shape) == 2 and tensor.shape[0] % 32 == 0
    kind = GGMLQuantizationType[name] if is_matrix else GGMLQuantizationType.F32
    writer.add_tensor(tensor.name, quants.quantize(weights, kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
