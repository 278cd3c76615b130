-- bye.lua: ends the life of an incarnation that holds nothing.
-- Keeps: a hold is never dropped; a life that still holds something is left to expiry, which posts.
-- KEYS[1]  hash     the state
-- ARGV[1]  msgpack  head (common.lua)
-- Returns  {0, 1} left | {0, 0} it still holds something | {3, highest k} gone | {4, epoch} | {5} other layout
-- Cost     one HGET per pool that the replica used, and one HEXISTS per life for each budget whose period is over; once per life
if not advance_clock(redis.call('HGET', key, 'e')) then return other_layout() end
expire()
if epoch_said ~= epoch then return commit({EPOCH, epoch}) end
if dead[inc] or redis.call('HEXISTS', key, 'i:' .. inc) == 0 then return is_gone() end
local drawn = list('l:' .. inc)
for _, pool in ipairs(drawn) do
  local c = redis.call('HGET', key, 'c:' .. inc .. ':' .. pool)
  local n = #c / 24
  local counters = doubles(c, 2 * n)
  for i = 1, n do
    if counters[i] > counters[n + i] then return commit({0, 0}) end
  end
end
for _, pool in ipairs(drawn) do gone[#gone + 1] = 'c:' .. inc .. ':' .. pool end
gone[#gone + 1] = 'l:' .. inc
bury(inc)
sweep(drawn)
local lives = lives_now()
for _, life in ipairs(lives) do
  if life[1] == name and life[2] == k then life[3] = 0 end
end
put['lives'] = cmsgpack.pack(lives)
if highest_of(name) == k then
  put['n:' .. name] = struct.pack('<dd', k, l + REMEMBER)
end
due = min(due, l) -- the next script tidies the list
return commit({0, 1})
