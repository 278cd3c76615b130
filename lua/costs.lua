-- What a replica's attempts of one hour cost, by series: each time what a series came to, not what came to it, so told twice it
-- counts once. When the hour is over its book becomes a part of the sum, once.
-- KEYS[1]  HASH: 'ID SERIES' what a series of a book came to, numbers; '= SERIES' what those that are over did; '@ID' how often
--          a book was told, or 'over'
-- ARGV     ID; how often the teller knows that it was told, '' if all of it is told now; 'over' if nothing comes after; how long
--          the key lives after this, ms; then a series and what it came to, any number of times
-- Returns  how often it was told; 0 if it was over before; -1, and nothing is taken, if the teller knows of another number of
--          times: data were lost, or an answer, and all of it is to be told
local key, id, before, over, time = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == 'over', ARGV[4]
local known = redis.call('HGET', key, '@' .. id)
if known == 'over' then return 0 end
if before ~= '' and before ~= (known or '0') then return -1 end

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

for at = 5, #ARGV, 2 do
  local series, numbers = ARGV[at], ARGV[at + 1]
  if over then
    redis.call('HSET', key, '= ' .. series, add(redis.call('HGET', key, '= ' .. series) or '', numbers))
    redis.call('HDEL', key, id .. ' ' .. series)
  else
    redis.call('HSET', key, id .. ' ' .. series, numbers)
  end
end
local times = (tonumber(known) or 0) + 1
redis.call('HSET', key, '@' .. id, over and 'over' or times)
redis.call('PEXPIRE', key, time)
return times
