//! One atomic step in Redis per call, of the size a gateway needs: look at four candidates, count the
//! call on the least loaded one that has room.
use redis::aio::MultiplexedConnection;
use std::time::{SystemTime, UNIX_EPOCH};

/// KEYS: the candidates' counters of this minute. ARGV: estimated tokens, call limit, token limit.
/// Returns the chosen candidate's index, or 0.
const SCRIPT: &str = r#"
local best, load = 0, nil
local est, rl, tl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 1, #KEYS do
  local v = redis.call('HMGET', KEYS[i], 'r', 't')
  local r, t = tonumber(v[1]) or 0, tonumber(v[2]) or 0
  if r < rl and t + est <= tl then
    local l = r / rl + t / tl
    if not load or l < load then best, load = i, l end
  end
end
if best > 0 then
  local k = KEYS[best]
  if redis.call('HINCRBY', k, 'r', 1) == 1 then redis.call('EXPIRE', k, 120) end
  redis.call('HINCRBY', k, 't', est)
end
return best"#;

/// A connection to Redis with the script.
pub struct Admit {
    connection: MultiplexedConnection,
    script: redis::Script,
}

impl Admit {
    /// Connects; its driver runs on the runtime this is called on.
    pub async fn connect(url: &str) -> redis::RedisResult<Admit> {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(Admit { connection, script: redis::Script::new(SCRIPT) })
    }

    /// Counts a call of `tokens`; false when no candidate has room.
    pub async fn reserve(&self, tokens: u64) -> redis::RedisResult<bool> {
        let minute = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() / 60);
        let mut call = self.script.prepare_invoke();
        for i in 1..=4 {
            call.key(format!("{{g}}:c{i}:{minute}"));
        }
        call.arg(tokens).arg(1_000_000_000_u64).arg(1_000_000_000_000_u64);
        let chosen: u8 = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(chosen > 0)
    }
}
