use super::*;
use crate::config::check::check;

fn config() -> Config {
    let text = "version = 1\naccounts = [{ name = \"a\", provider = \"openai\", api_key = \"k\" }]\n\
        deployments = [{ name = \"d\", account = \"a\", model = \"x\" }, { name = \"e\", account = \"a\", model = \"y\" }]\n\
        models = [{ name = \"m\", deployments = [\"d\"] }, { name = \"n\", deployments = [\"e\"] }]\n\
        tenants = [{ name = \"web\", models = [\"*\"] }, { name = \"batch\", models = [\"m\"] }]\n";
    check(Path::new("weir.toml"), text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

fn read_text(text: &str) -> Result<Mix, Vec<String>> {
    read(Path::new("load.toml"), text, &config()).map_err(|report| report.lines())
}

/// Broken on purpose to see it fail: what a deployment says of itself taken beside nothing, not beside `[service]`.
#[test]
fn a_mix_is_read_as_it_is_written() {
    let mix = read_text(
        "duration = \"10m\"\nwarm_up = \"0s\"\nreplicas = 5\nseed = 9\n\
         [service]\nfirst_token = \"300ms\"\ntokens_per_second = 100.0\nspread = 0.2\n\
         [[deployments]]\nname = \"e\"\ntokens_per_second = 50\nslots = 8.0\n\
         [[calls]]\nmodel = \"m\"\nrps = 12.5\ntenants = { web = 3.0, batch = 1.0 }\n\
         input_tokens = { median = 800, sigma = 1.2 }\noutput_tokens = { median = 100, p95 = 518.0, max = 4000 }\n\
         max_tokens = 512\nweighs = 1.1\nstream_share = 1.0\nspike = { times = 4.0, lasts = \"25s\", every = \"2m\" }\n\
         [[calls]]\nmodel = \"n\"\nrps = 1.0\neven = true\ninput_tokens = 7\noutput_tokens = { from = 1, to = 9 }\n",
    )
    .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let near = |found: f64, due: f64| (found - due).abs() < 1e-9;
    assert_eq!((mix.time, mix.warm_up), (Some(Duration::from_secs(600)), Some(Duration::ZERO)));
    assert_eq!((mix.replicas, mix.seed), (Some(5), Some(9)));
    let [d, e] = [mix.services[0], mix.services[1]];
    assert!(near(d.first, 0.3) && near(d.per_output, 0.01) && d.spread == 0.2 && d.slots.is_infinite());
    assert!(near(e.first, 0.3) && near(e.per_output, 0.02) && e.spread == 0.2 && e.slots == 8.0);
    let [m, n] = [&mix.sources[0], &mix.sources[1]];
    assert_eq!((m.rate, &m.tenants, m.max_tokens), (12.5, &vec![(1, 1.0), (0, 3.0)], Some(512)));
    assert_eq!(m.input, Size::LogNormal { median: 800.0, sigma: 1.2, most: MOST });
    let Size::LogNormal { sigma, most: 4_000, .. } = m.output else { panic!("{:?}", m.output) };
    assert!((sigma - 1.0).abs() < 1e-3, "{sigma}");
    assert_eq!(m.pattern, Pattern::Spike { times: 4.0, lasts: 25.0, every: 120.0, between: 1.0 });
    assert_eq!((n.even, n.input, n.output), (true, Size::Fixed(7), Size::Between(1, 9)));
    assert_eq!(n.tenants, [(0, 1.0)], "all that may use it");
}

/// Each at its place, all at once. Broken on purpose to see it fail: the first problem alone.
#[test]
fn every_mistake_is_told_at_its_line() {
    let calls = "[[calls]]\nmodel = \"m\"\nrps = 1.0\n";
    let check = |text: &str, problems: &[&str]| {
        let found = read_text(text).map(|mix| format!("{mix:?}")).unwrap_err();
        let is = |at: usize| {
            problems.get(at).is_some_and(|due| found[at].starts_with(&format!("load.toml:{due}")))
        };
        assert!(found.len() == problems.len() && (0..found.len()).all(is), "{text}: {found:#?}");
    };
    check("", &[" no calls"]);
    check("[[calls]]\nmodel = \"m\"\n", &["1:1: missing field `rps`"]);
    check(&format!("{calls}input = 3\n"), &["4:1: unknown field `input`"]);
    check(&format!("duration = \"3\"\nreplicas = 0\n{calls}"), &["1:12: duration:", "2:12: replicas: 1 to"]);
    check(
        "[[calls]]\nmodel = \"k\"\nrps = -1.0\n",
        &["2:9: the configuration has no model `k`", "3:7: rps: 0 to"],
    );
    check(
        "[[calls]]\nmodel = \"n\"\nrps = 1.0\ntenants = { batch = 1.0, x = 1.0 }\n",
        &["4:13: the tenant `batch` may not use `n`", "4:26: the configuration has no tenant `x`"],
    );
    check(
        &format!("{calls}input_tokens = {{ median = 8 }}\noutput_tokens = 0\n"),
        &["4:16: input_tokens: expected", "5:17: output_tokens: expected"],
    );
    check(&format!("{calls}output_tokens = {{ median = 8, p95 = 4 }}\n"), &["4:17: output_tokens: expected"]);
    check(
        &format!("[[deployments]]\nname = \"z\"\n{calls}"),
        &["2:8: the configuration has no deployment `z`"],
    );
    check(&format!("[[deployments]]\nname = \"d\"\nspeed = 1.0\n{calls}"), &["3:1: unknown field `speed`"]);
    check(&format!("[service]\nseconds = 1.0\ntokens_per_second = 2.0\n{calls}"), &["2:11: seconds: "]);
    let both =
        "spike = { times = 2.0, lasts = \"1s\", every = \"2s\" }\nwave = { by = 0.5, every = \"1h\" }\n";
    check(&format!("{calls}{both}"), &["1:1: one of `spike`"]);
}
