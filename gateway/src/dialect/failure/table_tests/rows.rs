//! The table: `status class [wait in ms] | headers | body`, one failure a line; `{LATER}` is six hours after the test's
//! time, in seconds since the epoch.

/// OpenAI.
pub(super) const OPENAI: &str = r###"
429 rate 41724 | | {"error":{"message":"Rate limit reached for gpt-x in organization org-abc on tokens per min (TPM): Limit 10000, Used 8782, Requested 8172. Please try again in 41.724s. Visit the page.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}
429 rate 3000 | retry-after: 3; retry-after-ms: 2600 | {"error":{"message":"Rate limit reached on requests per day (RPD): Limit 200, Used 200, Requested 1.","type":"requests","code":"rate_limit_exceeded"}}
429 rate 432000 | | {"error":{"message":"Rate limit reached for m on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.","type":"requests","code":"rate_limit_exceeded"}}
429 big | | {"error":{"message":"Request too large for gpt-x in organization o on tokens per min (TPM): Limit 30,000, Requested 31,000.","type":"tokens","code":"rate_limit_exceeded"}}
429 spent | | {"error":{"message":"You exceeded your current quota, please check your plan.","type":"insufficient_quota","code":"insufficient_quota"}}
429 spent | | {"error":{"message":"m","type":"insufficient_quota","code":"project_spend_limit_exceeded"}}
400 spent | | {"error":{"message":"m","type":"invalid_request_error","code":"billing_hard_limit_reached"}}
429 slow | | {"error":{"message":"Please slow down.","type":"rate_limit_error","code":"slow_down"}}
503 over 2000 | retry-after: 2 | {"error":{"message":"m","type":"service_unavailable_error","code":"server_is_overloaded"}}
400 long | | {"error":{"message":"m","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}
429 spent | retry-after: 2 | {"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}
400 filtered | | {"error":{"message":"m","type":"invalid_request_error","code":"content_policy_violation"}}
403 filtered | | {"error":{"message":"m","code":"misalignment_policy_violation"}}
401 auth | | {"error":{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}}
403 auth | | {"error":{"message":"m","type":"request_forbidden","code":"unsupported_country_region_territory"}}
404 model | | {"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}
400 kept | | {"error":{"message":"Previous response with id 'resp_1' not found.","param":"previous_response_id","code":"previous_response_not_found"}}
404 kept | | {"error":{"message":"No such File object: file-1","type":"invalid_request_error","code":null}}
400 request | | {"error":{"message":"Unsupported parameter","code":"unsupported_parameter"}}
500 fault | | {"error":{"message":"The server had an error","type":"server_error","code":null}}
408 late | | {"error":{"message":"m","type":"timeout"}}
409 fault | | 
429 rate | | 
"###;

/// Azure, and API Management in front of it.
pub(super) const AZURE: &str = r###"
429 rate 37000 | retry-after: 37 | {"error":{"code":"429","message":"Requests have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 37 seconds."}}
429 rate 1000 | retry-after: 1; retry-after-ms: 0 | {"error":{"code":"RateLimitReached","message":"m"}}
429 rate 42000 | retry-after: 1; retry-after-ms: 0; x-ratelimit-type: Tokens; x-ratelimit-reset-tokens: 42 | {"error":{"code":"429","message":"m"}}
429 spent 86400000 | retry-after: 86400 | {"error":{"code":"429","message":"Rate limit is exceeded."}}
429 slow 4000 | | {"error":{"code":"429","message":"System is experiencing high demand. Please retry after 4 seconds."}}
503 over | | 
400 filtered | | {"error":{"code":"content_filter","message":"The response was filtered","param":"prompt","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}
400 filtered | | {"error":{"code":"BadRequest","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}
400 request | | {"error":{"code":"OperationNotSupported","message":"m"}}
401 auth | | {"statusCode":401,"message":"Access denied"}
404 model | | {"error":{"code":"DeploymentNotFound","message":"m"}}
403 spent 4350000 | | {"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 01:12:30."}
429 rate 26000 | | {"statusCode":429,"message":"Rate limit is exceeded. Try again in 26 seconds."}
"###;

/// Anthropic.
pub(super) const ANTHROPIC: &str = r###"
429 rate 12000 | retry-after: 12 | {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 40,000 input tokens per minute."},"request_id":"req_1"}
429 rate 41000 | anthropic-ratelimit-input-tokens-remaining: 0; anthropic-ratelimit-input-tokens-reset: 2026-01-01T00:00:41Z; anthropic-ratelimit-requests-remaining: 7; anthropic-ratelimit-requests-reset: 2026-01-01T00:09:00Z | {"type":"error","error":{"type":"rate_limit_error","message":"m"}}
429 spent 2678400000 | | {"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}
429 slow 5000 | retry-after: 5 | {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's maximum usage increase rate for input tokens per minute."}}
529 over | | {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
400 spent 864000000 | | {"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-01-11 at 00:00 UTC."}}
400 spent | | {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}
402 spent | | {"type":"error","error":{"type":"billing_error","message":"m"}}
400 long | | {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 200001 tokens > 200000 maximum"}}
400 long | | {"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 199000 + 20000 > 200000"}}
413 long | | {"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}
400 filtered | | {"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}
400 request | | {"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"}}
401 auth | | {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}
403 auth | | {"type":"error","error":{"type":"permission_error","message":"m"}}
404 model | | {"type":"error","error":{"type":"not_found_error","message":"model: m"}}
409 fault | | {"type":"error","error":{"type":"conflict_error","message":"m"}}
500 fault | | {"type":"error","error":{"type":"api_error","message":"Internal server error"}}
504 late | | {"type":"error","error":{"type":"timeout_error","message":"m"}}
"###;

/// Bedrock.
pub(super) const AWS: &str = r###"
429 rate | x-amzn-errortype: ThrottlingException:http://internal.amazon.com/coral/ | {"message":"Too many requests, please wait before trying again."}
429 spent | x-amzn-errortype: ThrottlingException | {"message":"Too many tokens per day, please wait before trying again."}
400 rate | | {"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}
429 slow | x-amzn-errortype: ModelNotReadyException | {"message":"m"}
503 over | x-amzn-errortype: ServiceUnavailableException | {"message":"m"}
424 over | x-amzn-errortype: ModelErrorException | {"message":"m"}
424 fault | x-amzn-errortype: ModelStreamErrorException | {"message":"m"}
408 late | x-amzn-errortype: ModelTimeoutException | {"message":"m"}
500 fault | x-amzn-errortype: InternalServerException | {"message":"m"}
400 spent | x-amzn-errortype: ServiceQuotaExceededException | {"message":"m"}
400 long | x-amzn-errortype: ValidationException | {"message":"Input is too long for requested model."}
400 model | x-amzn-errortype: ValidationException | {"message":"The provided model identifier is invalid."}
400 request | x-amzn-errortype: ValidationException | {"message":"Malformed input request"}
403 auth | x-amzn-errortype: AccessDeniedException | {"Message":"User: arn:aws:iam::123456789012:user/x is not authorized"}
403 auth | | {"__type":"UnrecognizedClientException","message":"m"}
400 auth | x-amzn-errortype: ExpiredTokenException | 
404 model | x-amzn-errortype: ResourceNotFoundException | {"message":"m"}
"###;

/// Groq, Mistral, Cohere, DeepSeek.
pub(super) const OTHERS: &str = r###"
413 big | | {"error":{"message":"Request too large for model `m` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 8000, Requested 10098, please reduce your message size and try again. Need more tokens?","type":"tokens","code":"rate_limit_exceeded"}}
429 rate 7660 | retry-after: 7.66 | {"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}
429 rate 578016 | | {"error":{"message":"Rate limit reached on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.","type":"tokens","code":"rate_limit_exceeded"}}
498 over | | {"error":{"message":"m","code":"capacity_exceeded"}}
400 request | | {"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed"}}
429 rate | | {"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}
429 spent | x-ratelimit-limit-req-minute: 0; x-ratelimit-remaining-req-minute: 0 | {"message":"Requests rate limit exceeded"}
429 spent | x-ratelimit-limit-tokens-month: 4000; x-ratelimit-remaining-tokens-month: 0 | {"message":"Requests rate limit exceeded"}
429 over | | {"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}
429 rate 23000 | x-ratelimitbysize-remaining-minute: 0; ratelimitbysize-reset: 23 | {"message":"m"}
422 request | | {"object":"error","message":{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]},"type":"invalid_request_error","code":null}
400 long | | {"object":"error","message":"Prompt contains 40000 tokens, too large for model with 32768 maximum context length","type":"invalid_request_error","code":"3051"}
401 auth | | {"detail":"Unauthorized"}
429 rate | | {"id":"1","message":"You are past the per minute request limit, please wait and try again later."}
429 spent | | {"message":"You are using a Trial key, which is limited to 1000 API calls / month."}
429 rate | | {"message":"You are using a Trial key, which is limited to 20 API calls / minute."}
400 long | | {"id":"1","error_type":"TOO_MANY_TOKENS","message":"m"}
402 spent | | {"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}
422 request | | {"error":{"message":"Invalid parameters","code":"invalid_request_error"}}
400 filtered | | {"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}
503 over | | {"error":{"message":"Service is too busy."}}
"###;

/// OpenRouter, Cerebras, xAI, llama.cpp, TGI, Ollama and relays.
pub(super) const RELAYS: &str = r###"
429 spent 21600000 | | {"error":{"message":"Rate limit exceeded: free-models-per-day.","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"{LATER}000"},"provider_name":null}},"user_id":"user_1"}
429 rate | | {"error":{"message":"Rate limit exceeded: free-models-per-min.","code":429}}
429 rate 7000 | x-ratelimit-limit: 20; x-ratelimit-remaining: 0; x-ratelimit-reset: 1767225607000 | {"error":{"message":"m","code":429}}
429 over | | {"error":{"message":"Provider returned error","code":429,"metadata":{"provider_name":"P","raw":"{\"error\":{\"message\":\"Quota exceeded\",\"type\":\"insufficient_quota\"}}"}}}
400 long | | {"error":{"message":"Provider returned error","code":400,"metadata":{"provider_name":"P","raw":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 3 tokens > 2 maximum\"}}"}}}
403 filtered | | {"error":{"message":"m requires moderation. Your input was flagged","code":403,"metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"P"}}}
402 spent | | {"error":{"message":"This request requires more credits","code":402}}
400 model | | {"error":{"message":"a/b is not a valid model ID","code":400}}
502 fault | | {"error":{"message":"m","code":502}}
500 rate 26000 | | {"error":{"message":"{\"error\":{\"code\":429,\"message\":\"busy\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"x.RetryInfo\",\"retryDelay\":\"26s\"}]}}","code":429,"status":"Too Many Requests"}}
429 rate | | {"message":"Tokens per minute limit exceeded - too many tokens processed.","type":"too_many_requests_error","code":"token_quota_exceeded"}
429 over | | {"message":"We're experiencing high traffic right now!","type":"too_many_requests_error","code":"queue_exceeded"}
400 auth | | {"code":"invalid-argument","error":"Incorrect API key provided."}
403 spent | | {"code":"x","error":"Your team t has either used all available credits or reached its monthly spending limit."}
400 long | | {"code":"x","error":"This model's maximum prompt length is 8 but the request contains 9 tokens."}
400 long | | {"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}
422 long | | {"error":"`inputs` tokens + `max_new_tokens` must be <= 4096","error_type":"validation"}
429 over | | {"error":"Model is overloaded","error_type":"overloaded"}
404 model | | {"error":"model 'x' not found"}
400 long | | {"error":"Bad Request","message":"prompt is too long: 3 tokens"}
400 rate 2000 | | {"error":"rate_limited","message":"retry after 2 seconds","statusCode":429}
"###;

/// Pages, plain text, nothing.
pub(super) const PAGES: &str = r###"
502 fault | | <html><head><title>502 Bad Gateway</title></head></html>
413 request | | <html>413 Request Entity Too Large</html>
429 rate 26000 | | Rate limit is exceeded. Try again in 26 seconds.
503 over 30000 | retry-after: Thu, 01 Jan 2026 00:00:30 GMT | no healthy upstream
524 late | | error code: 524
520 fault | | 
599 fault | | 
308 model | | 
404 model | | <html>
405 model | | Method Not Allowed
407 auth | | 
418 request | | short and stout
200 fault | | 
"###;
