"""What goes in and out: frozen values shared by the core, codecs and plugins."""

from __future__ import annotations

from modelplug.types.calls import (
    ChatCall,
    Completion,
    EmbedCall,
    Embeddings,
    Fingerprint,
    ImageCall,
    Produced,
    Ranking,
    RerankCall,
    Segment,
    SpeakCall,
    TranscribeCall,
    Transcript,
)
from modelplug.types.endpoint import (
    Endpoint,
    ErrorRule,
    Limits,
    ModelType,
    Quirks,
    Secret,
    Timeouts,
)
from modelplug.types.events import (
    Attempt,
    Event,
    Finish,
    Reasoning,
    Reset,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from modelplug.types.local import (
    Deployment,
    Memory,
    Plan,
    Weights,
)
from modelplug.types.training import (
    Settings,
    Training,
    TrainingPlan,
)
from modelplug.types.tuned import (
    Check,
    Comparison,
    Tuned,
    Verdict,
)

__all__ = [
    "Attempt",
    "ChatCall",
    "Check",
    "Comparison",
    "Completion",
    "Deployment",
    "EmbedCall",
    "Embeddings",
    "Endpoint",
    "ErrorRule",
    "Event",
    "Fingerprint",
    "Finish",
    "ImageCall",
    "Limits",
    "Memory",
    "ModelType",
    "Plan",
    "Produced",
    "Quirks",
    "Ranking",
    "Reasoning",
    "RerankCall",
    "Reset",
    "Secret",
    "Segment",
    "Settings",
    "SpeakCall",
    "Text",
    "Timeouts",
    "ToolCall",
    "ToolCallDelta",
    "Training",
    "TrainingPlan",
    "TranscribeCall",
    "Transcript",
    "Tuned",
    "Usage",
    "Verdict",
    "Weights",
]
