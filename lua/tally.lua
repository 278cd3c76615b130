-- What a replica's life has measured of an experiment, all of it each time: told twice it counts once, and what a data set
-- has lost comes again. When a life is over, it becomes a part of the sum, once.
-- KEYS[1]  HASH: life:ID what it measured, JSON; sum: what those that are over did; over:ID one of them
-- ARGV     ID, what it measured, how long the key lives after this, ms; '1' if the life is over
local key, id, measured, time, over = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HEXISTS', key, 'over:' .. id) == 1 then return 0 end

-- JSON of the same shape, whose leaves are numbers.
local function add(sum, more)
  for name, value in pairs(more) do
    if type(value) == 'table' then
      sum[name] = sum[name] or {}
      add(sum[name], value)
    else
      sum[name] = (sum[name] or 0) + value
    end
  end
end

if over == '1' then
  local sum = cjson.decode(redis.call('HGET', key, 'sum') or '{}')
  add(sum, cjson.decode(measured))
  redis.call('HSET', key, 'sum', cjson.encode(sum), 'over:' .. id, '1')
  redis.call('HDEL', key, 'life:' .. id)
else
  redis.call('HSET', key, 'life:' .. id, measured)
end
redis.call('PEXPIRE', key, time)
return 1
