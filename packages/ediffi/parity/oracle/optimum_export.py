"""Run by the interpreter that has optimum-onnx: exports the saved pipeline at argv[1] into the folder argv[2] as optimum-cli does."""

import sys

from optimum.exporters.onnx import main_export

main_export(sys.argv[1], output=sys.argv[2], task=sys.argv[3], library_name="diffusers", do_validation=False)
