//! Where replicas listen, what they share, and whom they tell.

use super::*;

table! {
    Server, "`[server]`" {
        listen: SocketAddr,
        admin_listen: SocketAddr,
        metrics_listen: SocketAddr,
        admin_token: String,
        anonymous: bool,
        max_body: Size,
        max_calls: Count,
        max_buffered: Size,
        unread_timeout: Duration,
        stream_keepalive: Pause,
        remember_responses: Duration,
        drain_delay: Pause,
        drain_timeout: Duration,
        tls: Listener,
        proxy_protocol: bool,
        region: String,
    } later {}
}

table! {
    Listener, "the listener's `tls`" {
        /// File with the certificate in PEM form, and behind it those between it and the authority.
        cert: String,
        /// File with its key in PEM form.
        key: String,
    } later {}
}

table! {
    State, "`[state]`" {
        url: String,
        sentinel: Sentinel,
        cluster: List<String>,
        tls: TlsFiles,
        namespace: String,
        timeout: Duration,
        on_outage: OnOutage,
        expected_replicas: Count,
        leases: bool,
    } later {}
}

table! {
    Sentinel, "`sentinel`" {
        nodes: List<String> = required,
        master: String = required,
        username: String,
        password: String,
        data_username: String,
        data_password: String,
        data_db: u32,
        tls: bool,
    } later {}
}

table! {
    TlsFiles, "`tls`" { ca: String, cert: String, key: String } later {}
}

table! {
    Alerts, "`[alerts]`" { webhook: String } later {}
}

table! {
    Telemetry, "`[telemetry]`" {
        otlp_endpoint: String,
        otlp_protocol: Protocol,
        otlp_headers: Headers,
        otlp_signals: List<Signal>,
        otlp_tls: TlsFiles,
        service_name: String,
        resource_attributes: Table<String>,
        sample_ratio: f64,
        trust_traceparent: bool,
        semconv: Semconv,
        capture_content: bool,
        metrics_interval: Duration,
        tenant_labels: Count,
    } later {}
}
