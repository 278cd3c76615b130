-- The shares of an experiment that were set at run time: the newest that any replica knows is kept, so that a data set which has
-- lost them learns them again from whoever comes first.
-- KEYS[1]  HASH by experiment: the version, a space, what was set
-- ARGV     experiment, version, what was set
-- Returns what is kept.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
local version = kept and tonumber(string.match(kept, '^%d+')) or 0
if tonumber(ARGV[2]) > version then
  kept = ARGV[2] .. ' ' .. ARGV[3]
  redis.call('HSET', KEYS[1], ARGV[1], kept)
end
return kept
