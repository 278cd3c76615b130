//! Test-only damage to the scripts (feature `controls`): the same cluster tests must fail with it.

/// Applies the control named by `WEIR_CONTROL`, if this build has the feature.
#[cfg(feature = "controls")]
pub fn apply(text: &str) -> String {
    let Ok(control) = std::env::var("WEIR_CONTROL") else { return text.to_owned() };
    let damaged = match control.as_str() {
        // Holds of the dead are released, not posted.
        "release-expired" => {
            text.replace("if v[b + BUCKETS] > 0 then post(p, i, amount) end -- @posted", "-- @posted")
        }
        // What replicas saw of the windows is not taken when data were lost.
        "forget-images" => text.replace(
            "do counts = remember(p, i - 1, window[i], posted[i], age, history) or counts end",
            "do end",
        ),
        // The clock of Redis is believed, whatever it does.
        "believe-clock" => text.replace("passed = max(GAP, min(passed, witnessed))", ""),
        // A window of two weighted buckets instead of many.
        "two-buckets" => text
            .replace(
                "local used = v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD] + amount",
                "local used = weighted(p, i) + v[b + HOLD] + amount",
            )
            .replace("-- How a set of draws fits:", TWO_BUCKETS),
        // What fits is found in one call and taken in another, whatever fits by then.
        "split-check" => text
            .replace(
                "local function commit(reply)\n",
                "local function commit(reply)\n  if TAKES == nil then return cmsgpack.pack(reply) end\n",
            )
            .replace("  redis.call('SET', KEYS[2]", "  if TAKES then redis.call('SET', KEYS[2]")
            .replace("'PX', ttl + 60000)", "'PX', ttl + 60000) end")
            .replace("if used > cap or wait > l then", "if not TAKES and (used > cap or wait > l) then")
            .replace("TAKES", if text.contains("local function fits") { "ARGV[3]" } else { "true" }),
        // A probe of an open circuit holds no other back.
        "probes-pile-up" => text.replace("circuits[at + 2], circuits[at + 3] = l + d_head, l + LONE", ""),
        _ => return text.to_owned(),
    };
    let place = match control.as_str() {
        "forget-images" => "local function remember",
        "probes-pile-up" => "local function probe(",
        _ => "local function fits",
    };
    assert!(damaged != text || !text.contains(place), "control {control} changes nothing");
    // (What it defines is of use only if something calls it.)
    assert!(
        control != "two-buckets" || damaged.matches("weighted(p, i)").count() != 1,
        "control {control} changes only a part"
    );
    damaged
}

/// Nothing, in a build without the feature.
#[cfg(not(feature = "controls"))]
pub fn apply(text: &str) -> String {
    text.to_owned()
}

/// With `WEIR_CONTROL=split-check`, the second step of a RESERVE: `checked` found a candidate that fits, which is
/// now drawn on, full or not.
#[cfg(feature = "controls")]
pub async fn take(
    mut connection: redis::aio::MultiplexedConnection,
    keys: &super::scripts::Keys,
    command: &super::core::Command,
    checked: Result<super::core::Reply, super::Away>,
) -> Result<super::core::Reply, super::Away> {
    use super::core::{Command, Reply::Reserved, Reserved::Granted};

    let (Command::Reserve(ask), Ok(Reserved(Granted(found)))) = (command, &checked) else { return checked };
    if !std::env::var("WEIR_CONTROL").is_ok_and(|control| control == "split-check") {
        return checked;
    }
    let mut alone = (**ask).clone();
    alone.candidates = alone.candidates.into_iter().skip(found.index).take(1).collect();
    let call =
        super::scripts::Call::new(keys, &Command::Reserve(alone.into()), super::core::Stamp::default());
    let away = |err: String| super::Away::Broken(err);
    let taken = call.by_text().arg("take").query_async(&mut connection).await;
    let taken = taken.map_err(|err: redis::RedisError| away(err.to_string()))?;
    let mut taken = super::layout::reply(call.asked, &taken).map_err(|err| away(err.to_string()))?;
    if let Reserved(Granted(chosen)) = &mut taken {
        chosen.index = found.index;
    }
    Ok(taken)
}

/// The estimate `previous * (1 - elapsed share) + current` over two buckets of a window each.
#[cfg(feature = "controls")]
const TWO_BUCKETS: &str = "
local function weighted(p, i)
  local v, b = p.v, base(i)
  local last, n = v[b + LAST], slots(v, b)
  if n == 0 then return 0 end
  local r, offset = ring(p, i)
  local buckets, cur, prev = v[b + BUCKETS], v[b + CUR], 0
  local into = last % buckets
  for age = 1, n - 1 do
    local amount = r[offset + (last - age) % n]
    if age <= into then cur = cur + amount else prev = prev + amount end
  end
  return math.ceil(prev * (1 - into / buckets) + cur)
end
-- How a set of draws fits:";
