-- What a replica's attempts of one hour cost, by series: each time what a series came to, not what came to it, so told twice it
-- counts once. When the hour is over its book becomes a part of the sum, in steps: a series that is one has no field of its own any
-- more, so it becomes one once, however often it is told to.
-- KEYS[1]  HASH: 'ID SERIES' what a series of a book came to, numbers; '= SERIES' what those that are over did; '#' how many of
--          these there are; '@ID' how often a book was told, 'closing' while it becomes a part of the sum, 'over' after that
-- ARGV     ID; how often the teller knows that it was told, '' if it does not; 'levels', 'close', or 'last' if these are the last of
--          the book; how long the key lives after this, ms; how many series of the sum are told apart; then, any number of times, a
--          series and what it came to; or, to close, a series and what it counts as if there are too many
-- Returns  how often it was told; 0 if it is over; -2 if it is closing; -1, and nothing is taken, if the teller knows of another
--          number of times: data were lost, or an answer, and all of it is to be told
local key, id, before, step, time, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local known = redis.call('HGET', key, '@' .. id)
if known == 'over' then return 0 end

if step == 'levels' then
  if known == 'closing' then return -2 end
  if before ~= '' and before ~= (known or '0') then return -1 end
  for at = 6, #ARGV, 2 do redis.call('HSET', key, id .. ' ' .. ARGV[at], ARGV[at + 1]) end
  local times = (tonumber(known) or 0) + 1
  redis.call('HSET', key, '@' .. id, times)
  redis.call('PEXPIRE', key, time)
  return times
end
if known ~= 'closing' and known ~= before then return -1 end

-- A later version may tell more numbers.
local function add(sum, more)
  local numbers, at = {}, 0
  for number in string.gmatch(sum, '%S+') do numbers[#numbers + 1] = tonumber(number) end
  for number in string.gmatch(more, '%S+') do
    at = at + 1
    numbers[at] = (numbers[at] or 0) + tonumber(number)
  end
  for place, number in ipairs(numbers) do numbers[place] = string.format('%.17g', number) end
  return table.concat(numbers, ' ')
end

local count = tonumber(redis.call('HGET', key, '#') or 0)
local function close(series, folded)
  local numbers = redis.call('HGET', key, id .. ' ' .. series)
  if not numbers then return end
  local sum = '= ' .. series
  local before = redis.call('HGET', key, sum)
  if not before and count >= most then
    sum = '= ' .. folded
    before = redis.call('HGET', key, sum)
  end
  redis.call('HSET', key, sum, add(before or '', numbers))
  redis.call('HDEL', key, id .. ' ' .. series)
  if not before then
    count = count + 1
    redis.call('HSET', key, '#', count)
  end
end

for at = 6, #ARGV, 2 do close(ARGV[at], ARGV[at + 1]) end
redis.call('HSET', key, '@' .. id, step == 'last' and 'over' or 'closing')
redis.call('PEXPIRE', key, time)
return step == 'last' and 0 or -2
