-- What was set at run time of a name that no file has any more is forgotten, unless something newer was set meanwhile.
-- KEYS[1]  HASH by name: the version, a space, what was set
-- ARGV     name, version and what was set, as they were read
-- Returns 1 if it is gone, 0 if something else stands there.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
