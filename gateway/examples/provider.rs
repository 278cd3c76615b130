//! One fake provider.
use clap::Parser;
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: weir::sim::provider::Options,
}
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    weir::sim::provider::serve(Cli::parse().options).await
}
