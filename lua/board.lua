-- What was set at run time, of an experiment or of a deployment: the newest that any replica knows is kept, so that a data set
-- which has lost it learns it again from whoever comes first.
-- KEYS[1]  HASH by name: the version, a space, what was set
-- ARGV     name, version, what was set
-- Returns what is kept.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
local version = kept and tonumber(string.match(kept, '^%d+')) or 0
if tonumber(ARGV[2]) > version then
  kept = ARGV[2] .. ' ' .. ARGV[3]
  redis.call('HSET', KEYS[1], ARGV[1], kept)
end
return kept
