-- join.lua: begins the life of an incarnation, or continues it in another data set (a HELLO).
-- Keeps: a number of a name is used once; a late duplicate does not raise the dead; what a replica saw is taken once
-- in an epoch, whatever comes twice; its counters only grow.
-- KEYS[1]  hash     the state
-- ARGV[1]  msgpack  head (common.lua); epoch, l_ack, x are not read
-- ARGV[2]  msgpack  {d_head, d_end, epoch, age, {NAME.K, ...}, {memory, ...}, more}: more = 1: a part, the rest follows; d = ms from RESERVE to an answer's head and end at
--                   most; epoch = 0 for a JOIN; who is known to live, and the age of that; of each pool what is known of it
--                   memory = {decl (common.lua: touch), {granted, returned, posted of each meter}, age, {seen of each},
--                   {posted of each}, {held by others of each}, {{ended, amount, ...} of each}, rest, {kept of each}}
--                   (core::PoolMemory)
-- Returns  {0, epoch, l, live} | {3, highest k} gone | {4, epoch} | {5} other layout
-- Cost     a look at every life; once per life of a replica, and once more for each loss of data
if not advance_clock(redis.call('HGET', key, 'e')) then return other_layout() end
l_ack = 0
expire()
local d_head, d_end, epoch_told, roster_age, roster, memory, more = unpack(cmsgpack.unpack(ARGV[2]))
if epoch_told ~= 0 and epoch_told ~= epoch then return commit({EPOCH, epoch}) end
local highest = highest_of(name)
local known = not dead[inc] and redis.call('HEXISTS', key, 'i:' .. inc) == 1
local told_late = epoch_told ~= 0 and learning == 1 and learn[7] ~= 1 -- lost was an older life than one that has told
for _, id in ipairs(told_late and learn[13] or {}) do told_late = told_late and id ~= inc end
if not known and highest and k <= highest and not told_late then return is_gone() end
local lives = lives_now()
if not known then
  local kept = {}
  for _, life in ipairs(lives) do -- a dead bearer of the name need not be remembered any longer
    if life[1] ~= name or life[3] == 1 or life[2] > k then kept[#kept + 1] = life end
  end
  kept[#kept + 1] = {name, k, 1}
  lives = kept
  put['lives'] = cmsgpack.pack(lives)
  put['i:' .. inc] = struct.pack('<dddd', l + TTL, d_head, d_end, 0)
  if not highest or k >= highest then put['n:' .. name] = struct.pack('<dd', k, 0) end
  due = min(due, l + TTL + d_head)
end

-- How an image that was looked at then stands to the one that is remembered (core/learn.rs, History).
local ONE, EARLIER, LATER, UNTOLD = 0, 1, 2, 3
local function history_of(o, seen)
  if learning == 0 then return UNTOLD end
  if learn[7] == 1 then return ONE end -- a data set that was only silent has one
  local from, to = unpack(learn[8])
  if o[5][1] then from, to = o[5][1], o[5][1] end
  return seen + TTL < from and EARLIER or seen > to + TTL and LATER or ONE
end

-- Takes an image of a meter: of one history in place of what is remembered, if more had been posted by then; of another
-- beside it (core/learn.rs). Tells whether its count of what was posted is what counts from now on.
local function remember(p, i, window, posted, age, history)
  local v, b = p.v, base(i)
  local n, fuller = slots(v, b), posted > v[b + IMAGE_POSTED]
  if n == 0 or not (fuller or history == LATER and posted > 0) then return false end
  local beside = history == EARLIER or history == UNTOLD or history == LATER and not fuller
  local counts = history ~= EARLIER or v[b + IMAGE_POSTED] == 0
  if counts then
    v[b + POSTED] = v[b + POSTED] + max(0, posted - v[b + IMAGE_POSTED])
    v[b + IMAGE_POSTED] = posted
  end
  local image, offset = ring(p, i, 'image')
  local old = {}
  for at = offset, offset + n - 1 do old[at], image[at] = image[at], 0 end
  local sum = 0
  for at = 1, #window, 2 do
    local ended, amount = window[at], window[at + 1]
    local newest = max(0, l - (age + ended + (ended > 0 and 1 or 0)))
    local bucket = floor(newest / v[b + WIDTH])
    if bucket + n > v[b + LAST] then
      image[offset + bucket % n] = image[offset + bucket % n] + amount
    end
  end
  for at = offset, offset + n - 1 do
    if beside then image[at] = max(image[at], old[at]) end
    sum = sum + image[at]
  end
  v[b + IMAGE_SUM] = sum
  p.dirty, p.image_dirty = true, true
  return counts
end

-- The replica's own counters; what it posted that its image does not include is posted now. Tells whether it was
-- granted more than was known.
local function take_counters(p, told, seen)
  local n = p.n
  local field = 'c:' .. inc .. ':' .. p.key
  local c = put[field] or redis.call('HGET', key, field)
  local known = {}
  if c then
    known = doubles(c, 3 * n)
  else
    for i = 1, 3 * n do known[i] = 0 end
    meet(p.key)
  end
  local more = false
  for i = 1, n do
    local v, b = p.v, base(i - 1)
    local g, r, ps = told[3 * i - 2], told[3 * i - 1], told[3 * i]
    more = more or g > known[i]
    v[b + HOLD] = v[b + HOLD] - (known[i] - known[n + i])
    post(p, i - 1, max(0, ps - max(known[2 * n + i], seen[i] or 0)))
    known[i], known[n + i], known[2 * n + i] = max(known[i], g), max(known[n + i], r), max(known[2 * n + i], ps)
    v[b + HOLD] = v[b + HOLD] + known[i] - known[n + i]
  end
  p.dirty = true
  put[field] = packed(known, 3 * n)
  return more
end

local function sum_of(t)
  local sum = 0
  for _, n in ipairs(t) do sum = sum + n end
  return sum
end

-- What was told of a pool by now, while learning.
local new = {} -- pools that nothing was told of before
local function all_told_of(pool)
  local o = learning == 1 and told_of(pool)
  if o or learning == 0 then return o end
  new[#new + 1] = pool
  return {epoch, 0, '', {}, {}, {}, {}}
end

local exp, head, stage_end, told = struct.unpack('<dddd', put['i:' .. inc] or redis.call('HGET', key, 'i:' .. inc))
local news = told == 0 or (epoch_told ~= 0 and told ~= epoch_told + 1)
local forgot = news and (learning == 1 or epoch_told ~= 0) -- windows are told once: a message may come twice
local knows = epoch_told ~= 0
if news then exp = max(exp, l + TTL) end
if news and more == 0 then told = epoch_told + 1 end

-- What a replica saw of a pool's windows, if that may have been forgotten.
local function take_window(p, o, window, posted, age, others, rest)
  if rest > 0 and l + rest > p.v[REST] then p.v[REST], p.dirty = l + rest, true end
  local seen, counts = max(0, l - age), false
  local history = history_of(o, seen)
  for i = 1, min(p.n, #window) do counts = remember(p, i - 1, window[i], posted[i], age, history) or counts end
  if #window == 0 or learning == 0 then return end
  if counts then o[5] = {seen} end
  knows = true
  if o[3] == '' or seen > o[2] or seen == o[2] and sum_of(others) > sum_of(o[4]) then -- of one moment: shows more
    o[2], o[3], o[4] = seen, inc, others
  end
end

-- What it had drawn when it looked and still holds.
local function take_kept(o, kept)
  local heard = max(0, l - roster_age)
  for _, by in ipairs(o[6]) do
    if by[1] == inc then
      by[2], by[3] = kept, heard
      return
    end
  end
  o[6][#o[6] + 1] = {inc, kept, heard}
end

for _, m in ipairs(memory) do
  local decl, counters, age, seen, posted, others, window, rest, kept = unpack(m)
  if forgot or #counters > 0 then
    local p = touch(decl)
    if forgot then
      local o = all_told_of(p.key)
      take_window(p, o, window, posted, age, others, rest)
      if o then
        take_kept(o, kept)
        put['o:' .. p.key] = cmsgpack.pack(o)
      end
    end
    if #counters > 0 and take_counters(p, counters, seen) then exp = max(exp, l) end
  end
end
if #new > 0 then
  learn[10] = learn[10] + 1
  put['os:' .. learn[10]] = cmsgpack.pack(new)
end
put['i:' .. inc] = struct.pack('<dddd', exp, head, stage_end, told) -- a life keeps its deadlines
write_met()
if forgot and knows and learning == 1 then
  learn[2], learn[3] = 1, roster_age <= TTL and 1 or learn[3]
  -- Which older lives of its own are not over it knows best: others may have heard of them last when they were not.
  local named, settled, known, awaited = {}, {}, {}, {}
  local function parts(id)
    local who, number = string.match(id, '^(.*)%.(%d+)$')
    return who, tonumber(number)
  end
  for _, id in ipairs(roster) do named[id] = true end
  for _, id in ipairs(learn[13]) do known[id] = true end -- ended since learning began
  for _, id in ipairs(learn[4]) do
    local who, number = parts(id)
    if who ~= name or number >= k or named[id] then
      awaited[#awaited + 1], known[id] = id, true
    end
  end
  for _, life in ipairs(lives) do -- the newest that has told, of each name
    local s = life[3] == 1 and (put['i:' .. id_of(life)] or redis.call('HGET', key, 'i:' .. id_of(life)))
    if s and struct.unpack('<d', s, 25) == epoch + 1 then settled[life[1]] = max(settled[life[1]] or 0, life[2]) end
  end
  for _, id in ipairs(roster) do
    local who, number = parts(id)
    if not known[id] and (who == name and number < k or number >= (settled[who] or 0)) then
      awaited[#awaited + 1], known[id] = id, true
    end
  end
  learn[4] = awaited
end
return commit({0, epoch, l, #alive(lives)})
