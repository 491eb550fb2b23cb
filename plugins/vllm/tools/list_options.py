"""
Write the list of vLLM's options into modelplug.toml. Run it by the interpreter of an
environment that has vLLM: `VLLM_TARGET_DEVICE=cpu <environment>/bin/python tools/list_options.py`.
"""

import re
import textwrap
from pathlib import Path

from vllm import __version__
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

MANIFEST = Path(__file__).parent.parent / "src/modelplug_vllm/modelplug.toml"

# What the plugin decides itself: where it listens and who may call, which weights and from
# where; and what would move it into the background or onto other machines' command.
OURS = frozenset(
    """
    allow_credentials allowed_headers allowed_methods allowed_origins api_key config
    disable_fastapi_docs download_dir dp_supervisor_probe_failure_threshold
    dp_supervisor_probe_interval_s dp_supervisor_probe_timeout_s data_parallel_supervisor_port
    enable_offline_docs enable_ssl_refresh grpc grpc_port h11_max_header_count
    h11_max_incomplete_event_size headless help hf_token host log_config_file middleware model
    code_revision port revision root_path served_model_name ssl_ca_certs ssl_cert_reqs
    ssl_certfile ssl_ciphers ssl_keyfile tokenizer_revision trust_remote_code uds
    """.split()
)


def main() -> None:
    """See the module."""
    parser = make_arg_parser(FlexibleArgumentParser())
    named = {action.dest for action in parser._actions if action.option_strings}
    names = ", ".join(f'"{name}"' for name in sorted({*named, "launch"} - OURS))
    lines = textwrap.wrap(names, 96, break_long_words=False)
    block = "\n".join(["options = [", *(f"    {line}" for line in lines)]) + ",\n]"
    text = MANIFEST.read_text(encoding="utf-8")
    text = re.sub(r"^options = \[.*?^\]", lambda _: block, text, flags=re.M | re.S)
    MANIFEST.write_text(text, encoding="utf-8")
    print(f"{len({*named, 'launch'} - OURS)} options of vLLM {__version__}")


if __name__ == "__main__":
    main()
