-- lives.lua: how lives end and how learning ends, and the end of every script (concatenated behind common.lua).
--
-- The specification is gateway/src/state/core: life.rs, learn.rs.

-- Highest number seen of a name, and when it may be forgotten; nil if the name is not known.
local function highest_of(who)
  local n = put['n:' .. who] or (not forgotten[who] and redis.call('HGET', key, 'n:' .. who))
  if n then return struct.unpack('<dd', n) end
end

-- The end of a life: its record goes, and nobody waits for its report.
local function bury(id)
  put['i:' .. id] = nil
  gone[#gone + 1] = 'i:' .. id
  dead[id] = true
  if learning == 1 then
    local kept = {}
    for _, awaited in ipairs(learn[4]) do
      if awaited ~= id then kept[#kept + 1] = awaited end
    end
    learn[4] = kept
    learn[13][#learn[13] + 1] = id
  end
end

-- The caller has counters on these pools for the first time, each packed. Its list may be of ten thousand: it is not unpacked, but what
-- is new is put behind it, and the number at its head (msgpack: array of up to 15, of 16 bits, of 32) is raised.
local met = {}
local function meet(pool) met[#met + 1] = cmsgpack.pack(pool) end
local function write_met()
  if #met == 0 then return end
  local s = redis.call('HGET', key, 'l:' .. inc) or '\144'
  local kind, a, b, c, d = string.byte(s, 1, 5)
  local n, from = kind - 144, 2
  if kind == 220 then n, from = a * 256 + b, 4 elseif kind == 221 then n, from = ((a * 256 + b) * 256 + c) * 256 + d, 6 end
  n = n + #met
  local head = '\221' .. string.char(floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
  if n < 16 then head = string.char(144 + n) elseif n < 65536 then head = '\220' .. string.char(floor(n / 256), n % 256) end
  put['l:' .. inc] = head .. string.sub(s, from) .. table.concat(met)
end

-- Budgets whose periods are over, of those that a buried life drew on: they are not needed any more when nobody else draws on
-- them (core/life.rs).
local function sweep(drawn)
  for _, pool in ipairs(drawn) do
    local till = string.match(pool, '@(%d+)|u%d+e$')
    local over = till and #till < 16 and wall > till + OVER
    local p = over and load(pool)
    for i = 0, over and p.n - 1 or -1 do over = over and p.v[base(i) + HOLD] == 0 end
    for _, life in ipairs(over and lives_now() or {}) do
      local id = id_of(life)
      if life[3] == 1 and not dead[id] and redis.call('HEXISTS', key, 'c:' .. id .. ':' .. pool) == 1 then over = false end
    end
    if over then
      for _, field in ipairs({'p:', 'r:', 'h:'}) do gone[#gone + 1] = field .. pool end
      record(pool, nil).swept = true -- what stands there is gone with the next write
    end
  end
end

-- Everything that is due, before anything is granted (core/life.rs).
local function expire()
  if l <= due then return end

  -- Ends a dead replica's hold: posted to a window, dropped from a gauge.
  local function release(pool, i, amount)
    local p = current(load(pool))
    if i >= p.n then return end
    advance(p, i)
    local v, b = p.v, base(i)
    v[b + HOLD] = v[b + HOLD] - amount
    if v[b + BUCKETS] > 0 then post(p, i, amount) end -- @posted: the control releases instead
    p.dirty = true
  end

  -- The death of one incarnation: head holds are posted, end holds wait for d_end.
  local function let_die(id, exp, d_end, pending)
    local drawn = list('l:' .. id)
    table.sort(drawn)
    for _, pool in ipairs(drawn) do
      local field = 'c:' .. id .. ':' .. pool
      local c, p = redis.call('HGET', key, field), load(pool)
      local counters = doubles(c, #c / 8)
      for i = 0, p.n - 1 do
        local amount = counters[i + 1] - counters[p.n + i + 1]
        if amount > 0 then
          if p.v[base(i) + STAGE] == 1 then
            pending[#pending + 1] = {exp + d_end, pool, i, amount}
          else
            release(pool, i, amount)
          end
        end
      end
      gone[#gone + 1] = field
    end
    gone[#gone + 1] = 'l:' .. id
    bury(id)
    sweep(drawn)
  end

  local lives, kept, pending, waiting = list('lives'), {}, list('d'), {}
  due = 2 ^ 52
  table.sort(lives, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  for _, life in ipairs(lives) do
    local id = id_of(life)
    if life[3] == 1 then
      local exp, d_head, d_end = struct.unpack('<ddd', put['i:' .. id] or redis.call('HGET', key, 'i:' .. id))
      if l > exp + d_head and learning == 0 then -- else it could not tell any more
        let_die(id, exp, d_end, pending)
        life[3] = 0
        if highest_of(life[1]) == life[2] then
          put['n:' .. life[1]] = struct.pack('<dd', life[2], l + REMEMBER)
        end
      else
        due = min(due, exp + d_head)
        kept[#kept + 1] = life
      end
    end
    local highest, forget = highest_of(life[1])
    if life[3] == 0 and highest == life[2] then -- the last of its name: kept until it may be forgotten
      if forget > 0 and l > forget then
        put['n:' .. life[1]] = nil
        gone[#gone + 1] = 'n:' .. life[1]
        forgotten[life[1]] = true
      else
        kept[#kept + 1] = life
        due = min(due, forget)
      end
    end
  end
  for _, entry in ipairs(pending) do
    if l > entry[1] then
      release(entry[2], entry[3], entry[4])
    else
      waiting[#waiting + 1] = entry
      due = min(due, entry[1])
    end
  end
  put['lives'], put['d'] = cmsgpack.pack(kept), cmsgpack.pack(waiting)
end

-- Those of the lives that were heard of lately.
local function alive(lives)
  local ids = {}
  for _, life in ipairs(lives) do
    if life[3] == 1 then
      local id = id_of(life)
      if struct.unpack('<d', put['i:' .. id] or redis.call('HGET', key, 'i:' .. id)) >= l then ids[#ids + 1] = id end
    end
  end
  return ids
end

-- What was seen of holds of those that have not told (core/learn.rs): {{{NAME.K, ... whose are not among them},
-- {held, ...}, seen}, ...}. Of those that told only what they held when they looked themselves: what they drew since was not
-- seen; and nothing of those that had not been heard of for long by then.
local function unsettled(o)
  local all, left = o[7], {}
  if o[3] ~= '' then all[#all + 1] = {{o[3]}, o[4], o[2]} end
  for _, seen in ipairs(all) do
    local settled, held, told, most = seen[1], seen[2], {}, 0
    for _, id in ipairs(settled) do told[id] = true end
    for _, by in ipairs(o[6]) do
      if not told[by[1]] then
        settled[#settled + 1] = by[1]
        local among = by[3] + TTL >= seen[3]
        for i = 1, among and min(#by[2], #held) or 0 do held[i] = max(0, held[i] - by[2][i]) end
      end
    end
    for _, n in ipairs(held) do most = max(most, n) end
    if most > 0 then left[#left + 1] = seen end
  end
  return left
end

-- What was told of a pool, if anything was; of a learning that a further loss cut short what it left.
local function told_of(pool)
  local s = put['o:' .. pool] or redis.call('HGET', key, 'o:' .. pool)
  if not s then return end
  local o = cmsgpack.unpack(s)
  if o[1] ~= epoch then
    local was_cut = false
    for _, cut in ipairs(learn[11]) do was_cut = was_cut or cut == o[1] end
    if not was_cut then return end -- left behind by a script of the version before
    local left = unsettled(o)
    for _, cut in ipairs(learn[12]) do
      if cut == o[1] then left = {} end -- the data set was only silent: it still knows
    end
    o[1], o[2], o[3], o[4], o[7] = epoch, 0, '', {}, left
  end
  return o
end

-- What was told in an epoch that was cut short is of this one as well. Only while learning that is known.
local function keep_what_was_told()
  local is_cut = {}
  for _, cut in ipairs(learn[11]) do is_cut[cut] = true end
  if not next(is_cut) then return end -- as a rule
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local pool = string.match(field, '^p:(.*)$')
    local p = pool and load(pool)
    if p and is_cut[p.v[USED_IN]] then p.v[USED_IN], p.dirty = epoch, true end
  end
end

-- What was seen of holds, beyond what is known, waits as the holds of the dead do.
local function hold_for_missing()
  local ids, longest = {}, {} -- from RESERVE to head, to end
  for _, life in ipairs(lives_now()) do
    if life[3] == 1 then
      local id = id_of(life)
      ids[#ids + 1] = id
      local d_head, d_end = struct.unpack('<dd', put['i:' .. id] or redis.call('HGET', key, 'i:' .. id), 9)
      longest[1], longest[2] = max(longest[1] or 0, d_head), max(longest[2] or 0, d_end)
    end
  end

  -- A later image shows again what an earlier one showed: the most counts, not the sum.
  local function missing_of(pool)
    local most = {}
    local o = told_of(pool)
    for _, seen in ipairs(o and unsettled(o) or {}) do
      local held, told = seen[2], {}
      for _, id in ipairs(seen[1]) do told[id] = true end
      for _, id in ipairs(ids) do
        local field = 'c:' .. id .. ':' .. pool
        local c = not told[id] and (put[field] or redis.call('HGET', key, field))
        if c then
          local n = #c / 24
          local counters = doubles(c, 3 * n)
          for i = 1, min(n, #held) do held[i] = held[i] - (counters[i] - counters[n + i]) end
        end
      end
      for i = 1, #held do most[i] = max(most[i] or 0, held[i]) end
    end
    return most
  end

  keep_what_was_told()
  local pending = put['d'] and cmsgpack.unpack(put['d']) or list('d')
  for chunk = 1, learn[10] do
    local field = 'os:' .. chunk
    for _, pool in ipairs(cmsgpack.unpack(put[field] or redis.call('HGET', key, field))) do
      local held = learn[7] == 1 and {} or missing_of(pool) -- whole: it still knows
      for i = 1, #held do
        local p = held[i] > 0 and current(load(pool))
        if p and i <= p.n then
          local b = base(i - 1)
          local at = l + TTL + (longest[1 + p.v[b + STAGE]] or TTL)
          p.v[b + HOLD], p.dirty = p.v[b + HOLD] + held[i], true
          pending[#pending + 1] = {at, pool, i - 1, held[i]}
          due = min(due, at)
        end
      end
      put['o:' .. pool] = nil
      gone[#gone + 1] = 'o:' .. pool
    end
    put[field] = nil
    gone[#gone + 1] = field
  end
  put['d'] = cmsgpack.pack(pending)
end

-- Ends learning when all that are known to live have told, or when it has lasted long enough (core/learn.rs).
local function end_learning()
  local since, told, fresh, roster = unpack(learn)
  local all = told == 1
  for _, id in ipairs(roster) do
    if not all then break end
    local s = not dead[id] and (put['i:' .. id] or redis.call('HGET', key, 'i:' .. id))
    all = s and struct.unpack('<d', s, 25) == epoch + 1
  end
  local settled = l > since + (fresh == 1 and LEAST or SETTLE)
  if not (all and settled or l > since + LEARN) then
    local now_packed = cmsgpack.pack(learn)
    if now_packed ~= learn_stored then put['learn'] = now_packed end
    return
  end
  hold_for_missing()
  learning = 0
  put['learn'] = nil
  gone[#gone + 1] = 'learn'
end

-- Writes everything in one step and returns the reply, packed: one string is cheaper to read than an array.
local function commit(reply)
  if learning == 1 then end_learning() end
  local args, n = {}, 0
  local e = struct.pack('<ddddddd', LAYOUT, epoch, l, wall, due, run, learning)
  if e ~= stored then args[1], args[2], n = 'e', e, 2 end -- within a millisecond nothing of it changes
  for pool, p in pairs(pools) do
    if p.dirty then
      args[n + 1], args[n + 2] = 'p:' .. pool, packed(p.v, 2 + METER * p.n)
      n = n + 2
    end
    if p.ring_dirty then
      args[n + 1], args[n + 2] = 'r:' .. pool, packed(p.ring, p.total)
      n = n + 2
    end
    if p.image_dirty then
      args[n + 1], args[n + 2] = 'h:' .. pool, packed(p.image, p.total)
      n = n + 2
    end
  end
  for field, value in pairs(put) do
    args[n + 1], args[n + 2] = field, value
    n = n + 2
  end
  for at = 1, #gone, 4000 do redis.call('HDEL', key, unpack(gone, at, min(at + 3999, #gone))) end
  for at = 1, n, 4000 do redis.call('HSET', key, unpack(args, at, min(at + 3999, n))) end -- what returned stays
  return cmsgpack.pack(reply)
end
local GRANTED, DENIED, TOO_BIG, GONE, EPOCH, OTHER_LAYOUT, LEARNING = 0, 1, 2, 3, 4, 5, 6
local function other_layout() return cmsgpack.pack({OTHER_LAYOUT}) end
-- The highest number seen of the caller's name, for a caller whose life is over.
local function is_gone() return commit({GONE, (highest_of(name)) or 0}) end
