//! Test-only damage to the scripts (feature `controls`): the same cluster tests must fail with it.

/// Applies the control named by `WEIR_CONTROL`, if this build has the feature.
#[cfg(feature = "controls")]
pub fn apply(text: &str) -> String {
    let Ok(name) = std::env::var("WEIR_CONTROL") else { return text.to_owned() };
    CONTROLS
        .iter()
        .find(|control| control.name == name)
        .map_or_else(|| text.to_owned(), |control| control.damage(text))
}

/// What is taken out of the script that has it.
#[cfg(any(test, feature = "controls"))]
struct Control {
    name: &'static str,
    /// Only the script that has this is changed.
    place: &'static str,
    /// Each stands in it, and is replaced.
    parts: &'static [(&'static str, &'static str)],
}

#[cfg(any(test, feature = "controls"))]
const CONTROLS: [Control; 6] = [
    // Holds of the dead are released, not posted.
    Control {
        name: "release-expired",
        place: "local function expire",
        parts: &[("if v[b + BUCKETS] > 0 then post(p, i, amount) end -- @posted", "-- @posted")],
    },
    // What replicas saw of the windows is not taken when data were lost.
    Control {
        name: "forget-images",
        place: "local function remember",
        parts: &[(
            "do counts = remember(p, i - 1, window[i], posted[i], age, history) or counts end",
            "do end",
        )],
    },
    // The clock of Redis is believed, whatever it does.
    Control {
        name: "believe-clock",
        place: "witnessed",
        parts: &[("passed = max(GAP, min(passed, witnessed))", "")],
    },
    // A window of two weighted buckets instead of many.
    Control {
        name: "two-buckets",
        place: "local function fits(",
        parts: &[
            (
                "local used = v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD] + amount",
                "local used = weighted(p, i) + v[b + HOLD] + amount",
            ),
            ("-- How a set of draws fits", TWO_BUCKETS),
        ],
    },
    // What fits is found in one call and taken in another, whatever fits by then.
    Control {
        name: "split-check",
        place: "local function fits(",
        parts: &[
            (
                "local function commit(reply)\n",
                "local function commit(reply)\n  if ARGV[3] == nil then return cmsgpack.pack(reply) end\n",
            ),
            ("  redis.call('SET', pin_key", "  if ARGV[3] then redis.call('SET', pin_key"),
            ("'PX', ttl + 60000)", "'PX', ttl + 60000) end"),
            ("if used > top or wait > l then", "if not ARGV[3] and (used > top or wait > l) then"),
        ],
    },
    // A probe of an open circuit holds no other back.
    Control {
        name: "probes-pile-up",
        place: "local function probe(",
        parts: &[("circuits[at + 2], circuits[at + 3] = l + d_head, l + LONE", "")],
    },
];

#[cfg(any(test, feature = "controls"))]
impl Control {
    fn damage(&self, text: &str) -> String {
        if !text.contains(self.place) {
            return text.to_owned();
        }
        self.parts.iter().fold(text.to_owned(), |text, (part, other)| {
            assert!(text.contains(part), "control {}: the script has changed: {part}", self.name);
            text.replace(part, other)
        })
    }
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
#[cfg(any(test, feature = "controls"))]
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
-- How a set of draws fits";

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts change, and a control whose part is not there any more takes nothing out: tests that need it learn of that hours later.
    /// Broken on purpose to see it fail: a word of a script changed.
    #[test]
    fn each_control_changes_a_script() {
        let [common, lives] =
            [include_str!("../../../lua/common.lua"), include_str!("../../../lua/lives.lua")];
        let own = [
            include_str!("../../../lua/join.lua"),
            include_str!("../../../lua/reserve.lua"),
            include_str!("../../../lua/sync.lua"),
            include_str!("../../../lua/bye.lua"),
        ];
        let scripts = own.map(|own| [common, lives, own].concat());
        for control in CONTROLS {
            let changed = scripts.iter().filter(|script| control.damage(script) != **script).count();
            assert!(changed > 0, "{} changes nothing", control.name);
        }
    }
}
