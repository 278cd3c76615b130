-- sync.lua: a replica's report: what it gave back and posted, renewal of its life, pools to rest, how attempts ended.
-- Keeps: counters only grow (each receiver takes the maximum), so a lost, doubled or late report heals; a report
-- that contradicts the grants changes nothing; a longer rest is never shortened.
-- KEYS[1]  hash     the state
-- ARGV[1]  msgpack  head (common.lua)
-- ARGV[2]  msgpack  {{pool, {returned per meter}, {posted per meter}, look, {cap, at, ms of what its provider said, per
--                   meter} or {}, {level wanted of what was ever granted, cap, per meter} or absent}, ...}; look = 1: answer with an
--                   image; what is wanted is lent if the living are counted (core/lend.rs)
-- ARGV[3]  msgpack  {{pool, ms to rest, 1: its provider refused a call}, ...}
-- ARGV[4]  '1'      count the living (costs a look at each), tell of circuits
-- ARGV[5]  msgpack  {{tag, ok, failed, failed since the last ok, {failures, ratio in millionths, min_calls, window, open,
--                   successes, ramp, most}, {permit or 0: a check, 0 says nothing 1 ok 2 failed, ...}}, ...}: how attempts
--                   ended (core/circuit.rs)
-- ARGV[6]  msgpack  {since, {{tag, busy, {sum, ...}, {calls, input, output}}, ...}}: how deployments behave, and from when on the
--                   caller wants to hear of that (core/behaviour.rs); '': nothing
-- Returns  {0, l, renewed, {NAME.K, ... alive}, learning, then per report: {granted}, {used}, {cap}, rest ms, {p:, r:, h:} or {};
--          then, if asked for and if there are any, the field b (or '' before what follows);
--          then, if anything learned is in force, per report: {how far each meter may be used} or {} ({} before what follows);
--          then, if the caller wants to hear of behaviour and there is any, {tag, field v:TAG, ...} ({} before what follows);
--          then, if the living are counted and any session moved lately, {1: more did, session, tag, ...}}
--          | {3, highest k} gone | {4, epoch} another data set, or this one has gone back in time | {5} other layout
-- Cost     HMGET of 2 fields per pool, one HSET; about 3 us per pool
asks_run = ARGV[4] == '1'
local SUMS, MINUTES, MINUTE, MOST_SUM, TOLD_AT_ONCE, KNOWN, FADED = 22, 8, 60000, 2251799813685248, 256, 4096, 3600000 -- of behaviour
local FULL, LOWEST, AGAIN = 950, 250000, 1000 -- of what is learned (core/learned.rs)
local LENT_UP_TO, IN_FLIGHT_UP_TO = 95, 50 -- percent (core/lend.rs)
local SLOTS, LONE, MOST, FORGET = 10, 1000, 1000, 3600000 -- of circuits (core/circuit.rs)
local head = redis.call('HMGET', key, 'e', 'b', 'a', 'j', 'z')
if not advance_clock(head[1]) then return other_layout() end
if head[3] then taught = struct.unpack('<d', head[3]) end
expire()
if epoch_said ~= epoch then return commit({EPOCH, epoch}) end
local life = redis.call('HGET', key, 'i:' .. inc)
if dead[inc] or not life then return is_gone() end

local reports, rests = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local wanted = {}
for at, report in ipairs(reports) do
  wanted[2 * at - 1], wanted[2 * at] = 'p:' .. report[1], 'c:' .. inc .. ':' .. report[1]
end
local read = {}
for at = 1, #wanted, 4000 do
  for _, s in ipairs(redis.call('HMGET', key, unpack(wanted, at, min(at + 3999, #wanted)))) do
    read[#read + 1] = s
  end
end

-- Does a report agree with what was granted?
local function agrees(c, returned, posted)
  local n = c and #c / 24 or 0
  if c and (#returned ~= n or #posted ~= n) then return false end
  local granted = c and doubles(c, n) or {}
  for i = 1, #returned do
    if returned[i] > (granted[i] or 0) or (not c and posted[i] > 0) then return false end
  end
  return true
end
for at, report in ipairs(reports) do
  if not agrees(read[2 * at], report[2], report[3]) then
    forget(0, l)
    return commit({EPOCH, epoch})
  end
end

local function take(p, counters, returned, posted)
  for i = 1, p.n do
    local b, n = base(i - 1), p.n
    advance(p, i - 1)
    local back = max(0, returned[i] - counters[n + i])
    local more = max(0, posted[i] - counters[2 * n + i])
    if back > 0 or more > 0 then
      p.v[b + HOLD] = p.v[b + HOLD] - back
      post(p, i - 1, more)
      counters[n + i] = counters[n + i] + back
      counters[2 * n + i] = counters[2 * n + i] + more
      p.changed = true
    end
  end
end

-- What was learned of a pool, to be changed.
local function lessons(p)
  local s = put['a:' .. p.key] or redis.call('HGET', key, 'a:' .. p.key)
  if s then return doubles(s, #s / 8) end
  local known = {WHOLE, 0}
  for at = 3, 2 + 3 * p.n do known[at] = 0 end
  return known
end
local function teach(p, known, till)
  put['a:' .. p.key] = packed(known, 2 + 3 * p.n)
  if till > taught then
    taught = till
    put['a'] = struct.pack('<d', taught)
  end
  p.learned = known
end

-- The provider said what it has left: the later word counts, of two at once the higher.
local function heed(p, words)
  local known, till, is_news = lessons(p), 0, false
  for at = 1, #words, 3 do
    local cap, since, lasts = words[at], min(words[at + 1], l), min(words[at + 2], LONGEST)
    local to = 2 + at
    if lasts > 0 and (since > known[to + 1] or since == known[to + 1] and cap > known[to]) then
      known[to], known[to + 1], known[to + 2] = cap, since, lasts
      is_news = true
      if cap < p.v[base((at - 1) / 3) + CAP] then till = max(till, since + lasts) end
    end
  end
  if is_news then teach(p, known, till) end
end

-- The provider refused a call. If it had no reason to, as far as we count, every cap falls.
local function struck(p)
  if p.n == 0 or p.v[REST] > l then return end
  local known, used = lessons(p), 0
  local is_full = l < known[2] + AGAIN
  for i = 0, p.n - 1 do
    advance(p, i)
    local v, b = p.v, base(i)
    local counted = v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD]
    if counted * 1000 >= bound(p, i) * FULL then is_full = true end
    used = max(used, floor(counted * WHOLE / v[b + CAP]))
  end
  if is_full then return end
  local before = min(WHOLE, known[1] + floor(max(0, l - known[2]) / RECOVERY))
  known[1], known[2] = min(before, max(floor(before * 9 / 10), used, LOWEST)), l
  teach(p, known, l + (WHOLE - known[1]) * RECOVERY)
end

local grants = {}
for at, report in ipairs(reports) do
  local pool, c = report[1], read[2 * at]
  local p = pools[pool] or record(pool, read[2 * at - 1])
  if p.s or p.n > 0 then current(p) end
  if c then
    local counters = doubles(c, #c / 8)
    take(p, counters, report[2], report[3])
    if p.changed then put['c:' .. inc .. ':' .. pool] = packed(counters, 3 * p.n) end
    grants[at] = counters
    if #report[5] > 0 and #report[5] == 3 * p.n then heed(p, report[5]) end
  end
end
for _, rest in ipairs(rests) do
  local p = current(load(rest[1]))
  if rest[3] == 1 then struck(p) end
  if l + rest[2] > p.v[REST] then p.v[REST], p.dirty = l + rest[2], true end
end

-- Circuits (core/circuit.rs): where each begins in this list, and whether it changes.
local circuits, turned = head[2] and doubles(head[2], #head[2] / 8) or {}, false
circuits[#circuits] = nil
local function place(tag)
  for at = 1, #circuits, 7 do
    if circuits[at] == tag then return at end
  end
end
local function set(at, ...)
  for i, n in ipairs({...}) do circuits[at + i - 1] = n end
  turned = true
end

-- How long one stays open from now on.
local function again(at, trip) return max(trip[5], min(trip[8], l - circuits[at + 6])) end

local function probed(at, of, probe, trip)
  if circuits[at + 1] ~= 1 or of > 0 and (of > circuits[at + 4] or of < circuits[at + 6]) then return end
  turned = true
  local open = again(at, trip)
  if of == 0 then
    if probe > 0 then circuits[at + 2] = max(circuits[at + 2], l + open) end
  elseif of == circuits[at + 4] then
    local soon = l + min(trip[5], LONE)
    circuits[at + 2], circuits[at + 3] = soon, soon
    if probe == 1 then circuits[at + 2], circuits[at + 3] = l, l end
    if probe == 2 then circuits[at + 2] = l + open end
  end
  if probe == 2 then
    circuits[at + 5] = 0
  elseif probe == 1 and circuits[at + 5] + 1 < trip[6] then
    circuits[at + 5] = circuits[at + 5] + 1
  elseif probe == 1 then
    set(at, circuits[at], 2, l, trip[7], 0, 0, 0)
  end
end

-- Adds to a deployment's counts; whether they are too many failures.
local function trips(field, ok, failed, run, trip)
  local width = max(1, floor(trip[4] / SLOTS))
  local slot = floor(l / width)
  local s = put[field] or redis.call('HGET', key, field)
  local counts = s and doubles(s, 4 + 2 * SLOTS) or {slot, 0, 0, 0}
  if counts[2] ~= width then
    counts[1], counts[2] = slot, width
    for at = 5, 4 + 2 * SLOTS do counts[at] = 0 end
  end
  for passed = counts[1] + 1, min(slot, counts[1] + SLOTS) do
    local at = 5 + 2 * (passed % SLOTS)
    counts[at], counts[at + 1] = 0, 0
  end
  counts[1], counts[3] = slot, ok > 0 and run or counts[3] + failed
  if ok > 0 then counts[4] = l end
  local at = 5 + 2 * (slot % SLOTS)
  counts[at], counts[at + 1] = counts[at] + ok, counts[at + 1] + failed
  put[field] = packed(counts, 4 + 2 * SLOTS)
  local wrong, all = 0, 0
  for i = 5, 3 + 2 * SLOTS, 2 do wrong, all = wrong + counts[i + 1], all + counts[i] + counts[i + 1] end
  local row = counts[3] >= trip[1] and l - counts[4] >= NEXT_SYNC
  return wrong > 0 and (row or all >= trip[3] and wrong * 1000000 >= trip[2] * all)
end

for _, outcome in ipairs(cmsgpack.unpack(ARGV[5])) do
  local tag, ok, failed, run, trip, probes = unpack(outcome)
  local at, field = place(tag), 'w:' .. string.format('%.0f', tag)
  for i = 1, at and #probes or 0, 2 do probed(at, probes[i], probes[i + 1], trip) end
  local is_open = at and circuits[at + 1] == 1
  if is_open and circuits[at + 2] <= l then
    local alone = failed
    for i = 2, #probes, 2 do if probes[i] == 2 then alone = alone - 1 end end
    if alone > 0 then
      local open = again(at, trip)
      circuits[at + 2], circuits[at + 3], turned = l + open, l + min(open, LONE), true
    end
  end
  if ok + failed > 0 and not is_open and trips(field, ok, failed, run, trip) and (at or #circuits < 7 * MOST) then
    set(at or #circuits + 1, tag, 1, l + trip[5], l + min(trip[5], LONE), 0, 0, l)
    put[field] = nil
    gone[#gone + 1] = field
  end
end
local left = {}
for at = 1, #circuits, 7 do
  local rest = circuits[at + 1] == 1 and FORGET or circuits[at + 3]
  if l < circuits[at + 2] + rest then
    for i = at, at + 6 do left[#left + 1] = circuits[i] end
  end
end
if turned or #left < #circuits then
  if #left > 0 then put['b'] = packed(left, #left) else gone[#gone + 1] = 'b' end
end

-- How deployments behave: what was told is added, and what is new to the caller is looked for, the latest first.
local function behaviour()
  local said, journal, news, lives = cmsgpack.unpack(ARGV[6]), head[4] or '', {}, {}
  local before, now_living = journal, #said[2] > 0 and lives_now() or {}
  for _, of in ipairs(now_living) do
    if of[3] == 1 then lives[id_of(of)] = true end
  end

  local function field_of(tag) return 'v:' .. string.format('%.0f', tag) end

  local function advanced(of)
    local minute = floor(l / MINUTE)
    local passed = max(0, minute - of[1])
    if passed == 0 then return of end
    of[1] = minute
    for i = 1, SUMS do of[3][i] = floor(of[3][i] / 2 ^ passed) end
    for i = 3 * MINUTES, 1, -1 do of[4][i] = i > 3 * passed and of[4][i - 3 * passed] or 0 end
    return of
  end

  local function add(of, at, more) of[at] = min(of[at] + more, MOST_SUM) end

  local function take(tag, busy, sums, demand)
    local entry, field = struct.pack('<d', tag), field_of(tag)
    local at = string.find(journal, entry, 1, true)
    while at and at % 16 ~= 1 do at = string.find(journal, entry, at + 1, true) end
    if not at and #journal >= 16 * KNOWN then return end
    local s = put[field] or at and redis.call('HGET', key, field)
    local of = s and cmsgpack.unpack(s) or {0, 0, {}, {}, {}}
    if not s then
      for i = 1, SUMS do of[3][i] = 0 end
      for i = 1, 3 * MINUTES do of[4][i] = 0 end
    end
    advanced(of)
    of[2] = l
    for i = 1, SUMS do add(of[3], i, sums[i]) end
    for i = 1, 3 do add(of[4], i, demand[i]) end
    local flying = {}
    for i = 1, #of[5], 3 do
      local who, number = of[5][i], of[5][i + 1]
      if who ~= name and lives[id_of({who, number})] then
        local n = #flying
        flying[n + 1], flying[n + 2], flying[n + 3] = who, number, of[5][i + 2]
      end
    end
    if busy > 0 then
      local n = #flying
      flying[n + 1], flying[n + 2], flying[n + 3] = name, k, busy
    end
    of[5] = flying
    put[field] = cmsgpack.pack(of)
    if at then journal = string.sub(journal, 1, at - 1) .. string.sub(journal, at + 16) end
    journal = journal .. entry .. struct.pack('<d', l)
  end

  for _, shown in ipairs(said[2]) do take(unpack(shown)) end
  local stale = 0
  while stale < #journal and struct.unpack('<d', journal, stale + 9) + FADED < l do
    gone[#gone + 1] = field_of(struct.unpack('<d', journal, stale + 1))
    stale = stale + 16
  end
  if stale > 0 then journal = string.sub(journal, stale + 1) end
  if journal ~= before then put['j'] = journal end

  local first = #journal + 1
  while first > 1 and struct.unpack('<d', journal, first - 8) >= said[1] do first = first - 16 end
  local last
  for at = first, #journal, 16 do
    local tag, changed = struct.unpack('<dd', journal, at)
    if last and changed > last then break end
    local field, n = field_of(tag), #news
    news[n + 1], news[n + 2] = tag, put[field] or redis.call('HGET', key, field)
    if n + 2 == 2 * TOLD_AT_ONCE then last = changed end
  end
  return news
end
local news = ARGV[6] and #ARGV[6] > 0 and behaviour() or {}

local exp, d_head, d_end, told = struct.unpack('<dddd', life)
local renewed = 0
if l - l_ack <= TTL / 2 then
  renewed = 1
  exp = max(exp, l + TTL)
  put['i:' .. inc] = struct.pack('<dddd', exp, d_head, d_end, told)
end
local live = {}
if ARGV[4] == '1' then
  local known = {}
  live = alive(lives_now())
  for _, id in ipairs(live) do known[id] = true end
  for _, id in ipairs(learning == 1 and learn[4] or {}) do
    if not known[id] then live[#live + 1] = id end
  end
end

-- Lends what is wanted of a pool (core/lend.rs).
local function lend(p, counters, wants)
  local v, part, lacks = p.v, 1, {}
  if #wants ~= 2 * p.n then return false end
  for i = 0, p.n - 1 do
    advance(p, i)
    declare(p, i, wants[2 * i + 2])
  end
  if v[REST] > l then return false end
  for i = 0, p.n - 1 do
    local b, lack = base(i), max(0, wants[2 * i + 1] - counters[i + 1])
    if lack > 0 then
      local upto = v[b + BUCKETS] == 0 and IN_FLIGHT_UP_TO or LENT_UP_TO
      local room = max(0, floor(bound(p, i) * upto / 100) - v[b + SUM] - v[b + IMAGE_SUM] - v[b + HOLD])
      part = min(part, min(lack, math.ceil(room / (2 * #live))) / lack)
    end
    lacks[i + 1] = lack
  end
  local lent = false
  for i = 0, p.n - 1 do
    local amount = floor(lacks[i + 1] * part)
    if amount > 0 then
      counters[i + 1] = counters[i + 1] + amount
      v[base(i) + HOLD] = v[base(i) + HOLD] + amount
      p.dirty, lent = true, true
    end
  end
  return lent
end
if ARGV[4] == '1' and renewed == 1 and learning == 0 then
  for at, report in ipairs(reports) do
    local p, counters, wants = pools[report[1]], grants[at], report[6]
    if counters and wants and lend(p, counters, wants) then
      put['c:' .. inc .. ':' .. p.key] = packed(counters, 3 * p.n)
    end
  end
end

-- A pool's record and rings, as they will be stored.
local function image_of(p)
  local s = p.dirty and packed(p.v, 2 + METER * p.n) or p.s
  local r = p.ring_dirty and packed(p.ring, p.total) or redis.call('HGET', key, 'r:' .. p.key)
  local h = p.image_dirty and packed(p.image, p.total) or redis.call('HGET', key, 'h:' .. p.key)
  return {s, r or '', h or ''}
end

local reply = {0, l, renewed, live, learning}
for at, report in ipairs(reports) do
  local p, granted, used, cap = pools[report[1]], {}, {}, {}
  for i = 1, p.n do
    local b = base(i - 1)
    advance(p, i - 1)
    granted[i] = grants[at] and grants[at][i] or 0
    used[i] = p.v[b + SUM] + p.v[b + IMAGE_SUM] + p.v[b + HOLD]
    cap[i] = p.v[b + CAP]
  end
  local n = #reply
  local image = report[4] == 1 and learning == 0 and p.n > 0 and image_of(p) or {}
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = granted, used, cap, max(0, p.v[REST] - l)
  reply[n + 5] = image
end
local bounds, is_bounded = {}, false
for at, report in ipairs(reports) do
  local p = pools[report[1]]
  local most = {}
  for i = 1, l < taught and p.n or 0 do most[i] = bound(p, i - 1) end
  is_bounded = is_bounded or p.learned and #most > 0
  bounds[at] = p.learned and most or {}
end
-- Sessions that moved lately (core/moves.rs).
local moved = {0}
local moves = ARGV[4] == '1' and head[5] and cmsgpack.unpack(head[5]) or {0}
if moves[1] > 0 and moves[1] + MOVED >= l then moved[1] = 1 end
for at = 2, #moves, 3 do
  local n = #moved
  if moves[at] + MOVED >= l then moved[n + 1], moved[n + 2] = moves[at + 1], moves[at + 2] end
end

local extras = {ARGV[4] == '1' and #left > 0 and packed(left, #left) or '', is_bounded and bounds or {}, news, moved}
local tells = (moved[1] > 0 or #moved > 1) and 4 or #news > 0 and 3 or is_bounded and 2 or extras[1] ~= '' and 1 or 0
for at = 1, tells do reply[#reply + 1] = extras[at] end
return commit(reply)
