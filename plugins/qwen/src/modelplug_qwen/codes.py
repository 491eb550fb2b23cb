"""DashScope's error codes, native and compatible, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from modelplug.errors import (
    AuthRefused,
    ConcurrencyLimited,
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

CODES: Mapping[str, type[Refused]] = {
    "InvalidApiKey": AuthRefused,
    "AccessDenied": PermissionRefused,
    "access_denied": PermissionRefused,
    "AllocationQuota": QuotaExhausted,  # AllocationQuota.FreeTierOnly, sent as 403
    "Arrearage": QuotaExhausted,  # an overdue account, sent as 400
    "CommodityNotPurchased": QuotaExhausted,
    "PrepaidBillOverdue": QuotaExhausted,
    "PostpaidBillOverdue": QuotaExhausted,
    "DataInspectionFailed": Filtered,
    "data_inspection_failed": Filtered,
    "IPInfringementSuspect": Filtered,
    "FaqRuleBlocked": Filtered,
    "CustomRoleBlocked": Filtered,
    "InvalidParameter": InvalidRequest,
    "invalid_parameter_error": InvalidRequest,
    "BadRequest": InvalidRequest,
    "ModelNotFound": NotFound,
    "model_not_supported": NotFound,  # it exists, and not on the compatible routes
    "WorkSpaceNotFound": NotFound,
    "Throttling": RateLimited,
    "Throttling.Concurrency": ConcurrencyLimited,
    "LimitRequests": RateLimited,
    "limit_requests": RateLimited,
    "limit_burst_rate": RateLimited,
    "insufficient_quota": RateLimited,  # tokens a minute, unlike OpenAI's code of that name
    "InternalError": ProviderFailed,
    "SystemError": ProviderFailed,
    "ModelServiceFailed": ProviderFailed,
    "RequestTimeOut": ProviderFailed,
    "ModelUnavailable": Overloaded,
    "ModelServingError": Overloaded,
    "ServiceUnavailable": Overloaded,
}
"""By the whole code, or by what stands before its first full stop."""

MEANT: Mapping[str, str] = {
    "Range of input length should be [": "context_length_exceeded",
    "Model not exist": "ModelNotFound",
    "Free allocated quota exceeded": "AllocationQuota.FreeTierOnly",
}
"""
The code that is meant, by documented texts that come with one that misleads: the first two
with InvalidParameter or InternalError.Algo, the third with the code of a rate limit (2026-11).
"""
