-- join.lua: begins the life of an incarnation.
-- Keeps: a number of a name is used once; a late duplicate does not raise the dead.
-- KEYS[1]  hash     the state
-- ARGV[1]  msgpack  head (common.lua); epoch, l_ack, x are not read
-- ARGV[2]  msgpack  {d_head, d_end}: ms from RESERVE to an answer's head and end at most
-- Returns  {0, epoch, l, live} | {3, highest k} gone | {5} other layout
-- Cost     a look at every life; once per life of a replica
if not advance_clock(redis.call('HGET', key, 'e')) then return other_layout() end
l_ack = 0
expire()
local d_head, d_end = unpack(cmsgpack.unpack(ARGV[2]))
local highest = highest_of(name)
local known = not dead[inc] and redis.call('HEXISTS', key, 'i:' .. inc) == 1
for _, field in ipairs(gone) do
  if field == 'n:' .. name then highest = nil end
end
if not known and highest and k <= highest then return is_gone() end
local lives = lives_now()
if not known then
  local kept = {}
  for _, life in ipairs(lives) do -- a dead bearer of the name need not be remembered any longer
    if life[1] ~= name or life[3] == 1 then kept[#kept + 1] = life end
  end
  kept[#kept + 1] = {name, k, 1}
  lives = kept
  put['lives'] = cmsgpack.pack(lives)
  put['i:' .. inc] = struct.pack('<ddd', l + TTL, d_head, d_end)
  put['n:' .. name] = struct.pack('<dd', k, 0)
  due = min(due, l + TTL + d_head)
end
return commit({0, epoch, l, count_live(lives)})
