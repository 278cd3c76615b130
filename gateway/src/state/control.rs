//! Test-only damage to the scripts (feature `controls`): the same cluster tests must fail with it.

/// Applies the control named by `WEIR_CONTROL`, if this build has the feature.
#[cfg(feature = "controls")]
pub fn apply(text: &str) -> String {
    let Ok(control) = std::env::var("WEIR_CONTROL") else { return text.to_owned() };
    let damaged = match control.as_str() {
        // Holds of the dead are released, not posted.
        "release-expired" => {
            text.replace("if slots(cold(p), i) > 0 then post(p, i, amount) end -- @posted", "-- @posted")
        }
        // A window of two weighted buckets instead of many.
        "two-buckets" => text
            .replace(
                "local used = v[h + SUM] + v[h + HOLD] + amount",
                "local used = weighted(p, i) + v[h + HOLD] + amount",
            )
            .replace("-- How a set of draws fits:", TWO_BUCKETS),
        _ => return text.to_owned(),
    };
    assert!(damaged != text || !text.contains("local function fits"), "control {control} changes nothing");
    damaged
}

/// Nothing, in a build without the feature.
#[cfg(not(feature = "controls"))]
pub fn apply(text: &str) -> String {
    text.to_owned()
}

/// The estimate `previous * (1 - elapsed share) + current` over two buckets of a window each.
#[cfg(feature = "controls")]
const TWO_BUCKETS: &str = "
local function weighted(p, i)
  local c, last = cold(p), p.v[hot(i) + LAST]
  local n = slots(c, i)
  if n == 0 then return 0 end
  local r, offset = ring(p, i)
  local buckets, cur, prev = c[COLD * i + BUCKETS], c[COLD * i + CUR], 0
  local into = last % buckets
  for age = 1, n - 1 do
    local amount = r[offset + (last - age) % n]
    if age <= into then cur = cur + amount else prev = prev + amount end
  end
  return math.ceil(prev * (1 - into / buckets) + cur)
end
-- How a set of draws fits:";
