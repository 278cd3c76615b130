"""The panels of the board, row by row, as they are read: a title, the queries, what they are measured in, what they say.

Queries are PromQL with few abbreviations. Of labels: `{J}` the cluster that is chosen, `{M}` and the models, `{D}` and the
deployments, `{MD}` both; more labels may follow: `{J, kind="x"}`. `[I]` is the time that rates are taken over.
Each query comes with what its lines are called.
"""

from shapes import bars, lines, stat, states, table

# For distributions: which part of them, and how that is called.
PARTS = ((0.5, "P50"), (0.95, "P95"), (0.99, "P99"))
# How full a deployment is, from and below.
BANDS = ((0, 0.5, "below 50 %"), (0.5, 0.8, "50 to 80 %"), (0.8, 0.95, "80 to 95 %"), (0.95, 100, "95 % and more"))


def quantile(part, buckets, by=""):
    """A quantile of a histogram's buckets."""
    return f"histogram_quantile({part}, sum by (le{by and ', ' + by}) (rate({buckets}[I])))"


def quantiles(buckets):
    """The usual ones, each a query."""
    return [(quantile(part, buckets), name) for part, name in PARTS]


def in_band(part, low, high):
    """A quantile of the answers of deployments that are so full: by how full each was over the same time."""
    buckets = "sum by (deployment, le) (rate(weir_request_duration_seconds_bucket{MD}[I]))"
    lost = "(max_over_time(weir_degraded{J}[I]) == 1)"  # such a replica shows what was before
    full = f"max by (deployment) (avg_over_time(weir_deployment_utilisation_ratio{{D}}[I]) unless on (instance) {lost})"
    return f"histogram_quantile({part}, sum by (le) ({buckets} and on (deployment) ({full} >= {low} < {high})))"


CALLS = 'sum(rate(weir_requests_total{M, status!="499"}[I]))'
FAILED = 'sum(rate(weir_errors_total{M, kind=~"upstream_failed|upstream_timeout|state_away|overloaded|internal"}[I]))'
SHARE = (
    'sum by (model, deployment) (rate(weir_requests_total{MD, deployment!="", status!="499"}[I]))'
    " / on (model) group_left () "
    '(sum by (model) (rate(weir_requests_total{M, deployment!="", status!="499"}[I])) > 0)'
)
BY_ACCOUNT = (
    "sum by (account) (rate(weir_upstream_429_total{D}[I])"
    " * on (instance, deployment) group_left (account) (weir_deployment_info{D} == 1))"
)

SAVED = "sum by (against) (rate(weir_cost_saved_usd_total{M}[I]))"
EXCESS = "sum by (against) (rate(weir_cost_excess_usd_total{M}[I]))"

ROWS = [
    (
        "At a glance",
        [
            stat("Calls a second", "reqps", [(CALLS, "")], "Without those whose client left."),
            stat(
                "Failed",
                "percentunit",
                [(f"({FAILED} or vector(0)) / ({CALLS} > 0)", "")],
                "Of the calls those that failed for a provider's reason or the gateway's own.",
                limits=(0.01, 0.05),
            ),
            stat("P95", "s", [(quantile(0.95, "weir_request_duration_seconds_bucket{M}"), "")], "To the end of the answer."),
            stat(
                "First token, P95",
                "s",
                [(quantile(0.95, "weir_time_to_first_token_seconds_bucket{M}"), "")],
                "Of streams, to the first content.",
            ),
            stat("Tokens a second", "short", [("sum(rate(weir_tokens_total{MD}[I]))", "")], "As providers counted them."),
            stat(
                "Spent an hour",
                "currencyUSD",
                [("3600 * sum(rate(weir_cost_usd_total{MD}[I]))", "")],
                "At the present rate.",
            ),
            stat(
                "Replicas",
                "none",
                [('count(up{J} == 1) or vector(0)', "scraped"), ("max(weir_replicas_alive{J})", "alive")],
                "Those that Prometheus reaches, and those that they know of.",
            ),
            stat(
                "Alerts",
                "none",
                [('count(ALERTS{J, alertname=~"Weir.*", alertstate="firing"}) or vector(0)', "")],
                "Alerts of deploy/prometheus/rules that fire.",
                limits=(1, 3),
            ),
        ],
    ),
    (
        "Where calls go",
        [
            lines(
                "Calls a second by deployment",
                "reqps",
                [('sum by (deployment) (rate(weir_requests_total{MD, deployment!=""}[I]))', "{{deployment}}")],
                "By who answered, or was tried last.",
                stacked=True,
            ),
            lines(
                "Share of the calls, and the share due",
                "percentunit",
                [
                    (SHARE, "{{model}}: {{deployment}}"),
                    (
                        "max by (model, deployment) (weir_deployment_share_ratio{MD})"
                        " and on (model) (sum by (model) (weir_deployment_share_ratio{M}) > 0)",
                        "{{model}}: {{deployment}} due",
                    ),
                ],
                "Dashed: what its weight makes due, for models that promise shares (strategies weighted, with weights that are written, and"
                " round-robin) and that are not experimented with. Limits, failures and sessions move calls elsewhere.",
                dashed=".* due",
            ),
            lines(
                "Calls a second by status",
                "reqps",
                [("sum by (status) (rate(weir_requests_total{M}[I]))", "{{status}}")],
                "499: the client left first.",
                stacked=True,
            ),
            lines(
                "Attempts a call",
                "none",
                [("sum(rate(weir_attempts_total{J}[I])) / (sum(rate(weir_requests_total{J, deployment!=\"\"}[I])) > 0)", "attempts")],
                "More than one: something failed and was tried elsewhere, or a second one ran beside the first.",
            ),
            lines(
                "Sessions",
                "reqps",
                [("sum by (outcome) (rate(weir_sessions_total{J}[I]))", "{{outcome}}")],
                "Calls with a session: at the deployment where it was (hit), its first (new), or elsewhere than before (moved).",
                stacked=True,
            ),
            lines(
                "Second attempts beside the first",
                "reqps",
                [("sum by (won) (rate(weir_hedges_total{M}[I]))", "{{won}} won")],
                "With `hedge`: who had content first.",
            ),
        ],
    ),
    (
        "How long it takes",
        [
            lines("Answers", "s", quantiles("weir_request_duration_seconds_bucket{MD}"), "From the request to the end of the answer."),
            lines("First token", "s", quantiles("weir_time_to_first_token_seconds_bucket{MD}"), "Of streams, from the request to the first content."),
            lines(
                "P95 of answers by deployment",
                "s",
                [(quantile(0.95, "weir_request_duration_seconds_bucket{MD}", "deployment"), "{{deployment}}")],
            ),
            lines(
                "P95 of the first token by deployment",
                "s",
                [(quantile(0.95, "weir_time_to_first_token_seconds_bucket{MD}", "deployment"), "{{deployment}}")],
            ),
            lines(
                "P95 of answers by how full the deployment is",
                "s",
                [(in_band(0.95, low, high), name) for low, high, name in BANDS],
                "Calls served while the fullest limit of their deployment was so far used, over the same time. If the upper bands are"
                " slower, shifting earlier (`headroom.soft`) helps.",
            ),
            lines(
                "P50 of answers by how full the deployment is",
                "s",
                [(in_band(0.5, low, high), name) for low, high, name in BANDS],
            ),
            lines("Weir's own part", "s", quantiles("weir_overhead_seconds_bucket{J}"), "Time of a call not spent waiting for a provider or for room."),
        ],
    ),
    (
        "Tokens",
        [
            lines("Tokens a second", "short", [("sum by (type) (rate(weir_tokens_total{MD}[I]))", "{{type}}")], stacked=True),
            lines(
                "Tokens a second by deployment",
                "short",
                [("sum by (deployment) (rate(weir_tokens_total{MD}[I]))", "{{deployment}}")],
                stacked=True,
            ),
            lines(
                "Tokens a second by tenant",
                "short",
                [("topk(10, sum by (tenant) (rate(weir_tokens_total{MD}[I])))", "{{tenant}}")],
                "The ten that use most.",
            ),
            lines(
                "Tokens held above those used",
                "short",
                [(quantile(part, "weir_reservation_error_tokens_bucket{MD}"), name) for part, name in ((0.05, "P5"), *PARTS[:2])],
                "Below zero: more was used than was held, by so many calls that it shows; the limit was met by luck.",
            ),
        ],
    ),
    (
        "Cost",
        [
            lines("US$ an hour by model", "currencyUSD", [("3600 * sum by (model) (rate(weir_cost_usd_total{MD}[I]))", "{{model}}")], stacked=True),
            lines(
                "US$ an hour by deployment",
                "currencyUSD",
                [("3600 * sum by (deployment) (rate(weir_cost_usd_total{MD}[I]))", "{{deployment}}")],
                stacked=True,
            ),
            lines(
                "Saved, US$ an hour",
                "currencyUSD",
                [
                    (
                        f"3600 * (({SAVED} or 0 * {EXCESS}) - ({EXCESS} or 0 * {SAVED}))",
                        "against the {{against}}",
                    )
                ],
                "What the same tokens would have cost more at the model's `baseline`, or at the dearest of its deployments; below zero: less.",
            ),
            table(
                "Spent by tenant, in the time shown",
                "currencyUSD",
                [("topk(20, sum by (tenant) (increase(weir_cost_usd_total{MD}[$__range])))", "")],
                "The twenty that spend most. A series begins with its first call, which Prometheus does not count: after a restart, and of who"
                " calls seldom, this is less than `/admin/v1/costs`, which is exact.",
                named=("tenant", "US$"),
            ),
            bars(
                "Budgets",
                "percentunit",
                [('topk(20, max by (pool) (weir_pool_utilisation_ratio{J, meter="usd"}))', "{{pool}}")],
                "What of each is spent, without what calls in flight may still cost; at 100 % calls are refused until its day or month is over.",
                limits=(0.8, 0.99),
            ),
            lines(
                "Calls of unknown cost",
                "reqps",
                [("sum by (deployment) (rate(weir_cost_unknown_total{MD}[I]))", "{{deployment}}")],
                "No price that holds, none for a kind of token, or an answer made in the background.",
            ),
            stat("Deployments with stale prices", "none", [("max(weir_prices_stale{J})", "")], limits=(1, 1000)),
        ],
    ),
    (
        "What goes wrong",
        [
            lines(
                "Calls not served, by kind",
                "reqps",
                [("sum by (kind) (rate(weir_errors_total{MD}[I]))", "{{kind}}")],
                "The README's table of errors says what each is.",
                stacked=True,
            ),
            lines(
                "Failed attempts by deployment",
                "reqps",
                [('sum by (deployment, outcome) (rate(weir_attempts_total{D, outcome!~"ok|overtaken"}[I]))', "{{deployment}}: {{outcome}}")],
                "What clients did not see, too.",
            ),
            lines(
                "429 by deployment",
                "reqps",
                [("sum by (deployment) (rate(weir_upstream_429_total{D}[I]))", "{{deployment}}")],
                "Above zero: a limit or an estimate is wrong, or somebody shares the account.",
            ),
            lines("429 by account", "reqps", [(BY_ACCOUNT, "{{account}}")]),
            lines(
                "Calls without room, by whose limit",
                "reqps",
                [("topk(10, sum by (scope, pool) (rate(weir_denials_total{J}[I])))", "{{scope}}: {{pool}}")],
                "A fallback may have served them.",
            ),
            lines(
                "Not tried again for want of retries",
                "reqps",
                [("sum by (model) (rate(weir_retry_budget_exhausted_total{M}[I]))", "{{model}}")],
            ),
        ],
    ),
    (
        "Limits",
        [
            lines(
                "Pools, how full",
                "percentunit",
                [('topk(15, max by (pool, meter) (weir_pool_utilisation_ratio{J, meter!="usd"}))', "{{pool}}: {{meter}}")],
                "The fifteen fullest, of the whole cluster.",
                most=1,
            ),
            lines(
                "Deployments, how full",
                "percentunit",
                [("max by (deployment) (weir_deployment_utilisation_ratio{D})", "{{deployment}}")],
                "The fullest of all limits that it draws on.",
                most=1,
            ),
            lines(
                "What providers leave of their limits",
                "percentunit",
                [("min by (pool) (weir_pool_learned_ratio{J}) < 1", "{{pool}}")],
                "Less than all: others use the account, or the provider's limit is lower than ours.",
                most=1,
            ),
        ],
    ),
    (
        "Waiting for room",
        [
            lines(
                "How long",
                "s",
                [(quantile(part, 'weir_queue_wait_seconds_bucket{M, outcome="served"}'), name) for part, name in PARTS],
                "Of calls that waited and were served.",
            ),
            lines("Calls that wait", "none", [("sum by (model) (weir_waiting_calls{M})", "{{model}}")], stacked=True),
            lines(
                "How it ended",
                "reqps",
                [("sum by (outcome) (rate(weir_queue_wait_seconds_count{M}[I]))", "{{outcome}}")],
                "`left`: the client did not wait.",
                stacked=True,
            ),
        ],
    ),
    (
        "Circuits and accounts",
        [
            states(
                "Circuits",
                [("max by (deployment) (weir_circuit_state{D})", "{{deployment}}")],
                (("closed", "green"), ("coming back", "yellow"), ("open", "red")),
            ),
            states(
                "Accounts",
                [("max by (account, reason) (weir_account_shut{J})", "{{account}}: {{reason}}")],
                (("takes calls", "green"), ("left alone", "red")),
                "`auth`: its key is refused; `quota`: its credit is spent.",
            ),
            states(
                "Models",
                [("max by (model) (weir_model_down{M})", "{{model}}")],
                (("served", "green"), ("down", "red")),
                "Down: every deployment of it fails or is refused.",
            ),
            lines(
                "Health checks a minute",
                "none",
                [("60 * sum by (deployment, outcome) (rate(weir_health_checks_total{D}[I]))", "{{deployment}}: {{outcome}}")],
            ),
        ],
    ),
    (
        "Experiments",
        [
            lines(
                "Share of each variant",
                "percentunit",
                [
                    (
                        "sum by (experiment, variant) (rate(weir_experiment_calls_total{J}[I])) / on (experiment) group_left ()"
                        " (sum by (experiment) (rate(weir_experiment_calls_total{J}[I])) > 0)",
                        "{{experiment}}: {{variant}}",
                    ),
                    ("max by (experiment, variant) (weir_experiment_share_ratio{J})", "{{experiment}}: {{variant}} due"),
                ],
                "Of calls; shares are of sessions or tenants where the experiment is by those. `/admin/v1/experiments` compares variants with"
                " confidence intervals, which no panel here does.",
                dashed=".* due",
            ),
            lines(
                "Failed, by variant",
                "percentunit",
                [
                    (
                        '(sum by (experiment, variant) (rate(weir_experiment_calls_total{J, outcome="failed"}[I])))'
                        ' / (sum by (experiment, variant) (rate(weir_experiment_calls_total{J, outcome=~"served|failed"}[I])) > 0)',
                        "{{experiment}}: {{variant}}",
                    )
                ],
            ),
            lines(
                "P95 of answers, by variant",
                "s",
                [
                    (
                        quantile(0.95, "weir_experiment_duration_seconds_bucket{J}", "experiment, variant"),
                        "{{experiment}}: {{variant}}",
                    )
                ],
            ),
            lines(
                "P95 of the first token, by variant",
                "s",
                [
                    (
                        quantile(0.95, "weir_experiment_time_to_first_token_seconds_bucket{J}", "experiment, variant"),
                        "{{experiment}}: {{variant}}",
                    )
                ],
            ),
            lines(
                "US$ for 1,000 calls, by variant",
                "currencyUSD",
                [
                    (
                        "1000 * sum by (experiment, variant) (rate(weir_experiment_cost_usd_total{J}[I]))"
                        " / (sum by (experiment, variant) (rate(weir_experiment_calls_total{J}[I])) > 0)",
                        "{{experiment}}: {{variant}}",
                    )
                ],
            ),
            lines(
                "Spilled, by variant",
                "percentunit",
                [
                    (
                        "sum by (experiment, variant) (rate(weir_experiment_spilled_total{J}[I]))"
                        " / (sum by (experiment, variant) (rate(weir_experiment_calls_total{J}[I])) > 0)",
                        "{{experiment}}: {{variant}}",
                    )
                ],
                "Calls that went elsewhere than to their variant's deployments: with many of them variants become alike.",
            ),
        ],
    ),
    (
        "Replicas",
        [
            states("Scraped", [("up{J}", "{{instance}}")], (("down", "red"), ("up", "green"))),
            lines("Calls in hand", "none", [("sum by (instance) (weir_calls{J})", "{{instance}}")], stacked=True),
            lines("Bytes of bodies in hand", "bytes", [("sum by (instance) (weir_buffered_bytes{J})", "{{instance}}")], stacked=True),
            lines("Calls a second by replica", "reqps", [("sum by (instance) (rate(weir_requests_total{J}[I]))", "{{instance}}")], stacked=True),
            lines("Processor, cores", "none", [("rate(process_cpu_seconds_total{J}[I])", "{{instance}}")]),
            lines("Memory", "bytes", [("process_resident_memory_bytes{J}", "{{instance}}")]),
            lines("Open files, of those allowed", "percentunit", [("process_open_fds{J} / process_max_fds{J}", "{{instance}}")]),
            table(
                "Versions",
                "none",
                [("max by (instance, version) (weir_build_info{J})", "")],
                named=("instance", None),
            ),
            lines(
                "Configurations in force",
                "none",
                [('count(count_values("hash", weir_config_hash{J}))', "configurations")],
                "More than one for long: a rollout that does not end, or a replica that refuses the file.",
            ),
            lines(
                "Files read again",
                "none",
                [("sum by (outcome) (increase(weir_config_reloads_total{J}[I]))", "{{outcome}}")],
            ),
            lines(
                "Messages of alerts",
                "none",
                [("sum by (outcome) (increase(weir_alert_posts_total{J}[I]))", "{{outcome}}")],
                "To `[alerts] webhook`.",
            ),
        ],
    ),
    (
        "Redis",
        [
            lines("Asking for room", "s", quantiles("weir_redis_seconds_bucket{J}"), "All messages of it: each call waits for this."),
            lines(
                "Not answered, by reason",
                "cps",
                [("sum by (reason) (rate(weir_redis_failures_total{J}[I]))", "{{reason}}")],
                "Calls then get what `on_outage` says.",
            ),
            states("Shared state", [("weir_degraded{J}", "{{instance}}")], (("there", "green"), ("away", "red"))),
            lines("Replicas alive, as each has heard", "none", [("weir_replicas_alive{J}", "{{instance}}")]),
        ],
    ),
]
