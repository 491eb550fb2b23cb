"""GLM (Zhipu, Z.ai) for modelplug. What it offers is in modelplug.toml; each wire is a module."""

from modelplug.errors import (
    AuthRefused,
    ContextTooLong,
    Filtered,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionRefused,
    ProviderFailed,
    QuotaExhausted,
    RateLimited,
    Refused,
)
from modelplug.openai_wire import OpenAICompatible
from modelplug_glm.chat import BROKEN_OFF, GLMChat
from modelplug_glm.images import GLMImages
from modelplug_glm.speech import GLMSpeak, GLMTranscribe
from modelplug_glm.vectors import GLMEmbed, GLMRerank

# https://docs.bigmodel.cn/cn/api/api-code, read 2026-11. The code decides and not the status:
# 429 is both "slow down" and "pay", and a model that does not exist is a 400.
_CODES: dict[type[Refused], str] = {
    AuthRefused: "1000 1001 1002 1003 1004 1005 1111",
    PermissionRefused: "434 1110 1112 1121 1220 1311 1315",
    QuotaExhausted: "1113 1304 1308 1309 1310 1313 1314 1316 1317 1318 1319 1320 1321",
    InvalidRequest: "435 1210 1212 1213 1214 1215 1231",
    NotFound: "1211 1221 1222",
    ContextTooLong: "1261",
    Filtered: "1300 1301",
    RateLimited: "1302 1303",
    Overloaded: "1305",
    ProviderFailed: f"1100 1120 1200 1230 1234 {BROKEN_OFF}",
}

plugin = OpenAICompatible(
    chat=GLMChat,
    embed=GLMEmbed,
    rerank=GLMRerank,
    stt=GLMTranscribe,
    tts=GLMSpeak,
    text2image=GLMImages,
    codes={code: error for error, codes in _CODES.items() for code in codes.split()},
)
