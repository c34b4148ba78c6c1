-- Before each script about who is here. The people of a group are a hash: "k:" and a person's key, with the person's
-- connections as JSON, {channel: [process, away, leaving, meta, since in ms]}; and "v", the version.
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- How many bytes of metas are told of one person: MAX_TOLD in presence/people.py.
local MAX_TOLD = 8192

-- Returns what is told of a person, as JSON, and whether there is anybody who is not leaving.
local function shown(person)
  local listed, leaving, away, metas = {}, {}, 'true', {}
  for _, entry in pairs(person) do
    local to = entry[3] == 1 and leaving or listed
    to[#to + 1] = entry
  end
  local here = #listed > 0
  if not here then listed = leaving end
  table.sort(listed, function(one, other)
    if one[5] == other[5] then return one[4] < other[4] end
    return one[5] < other[5]
  end)
  local told = 0
  for _, entry in ipairs(listed) do
    told = told + #entry[4]
    if told <= MAX_TOLD then metas[#metas + 1] = entry[4] end
    if entry[2] == 0 then away = 'false' end
  end
  if #metas == 0 then return nil, false end
  local more = #listed > #metas and ',"more":' .. #listed - #metas or ''
  return '{"metas":[' .. table.concat(metas, ',') .. '],"away":' .. away .. more .. '}', here
end

local function person_of(people, key)
  local found = redis.call('HGET', people, 'k:' .. key)
  return found and cjson.decode(found) or {}
end

-- Writes a person, and adds what has changed to joins or leaves, as JSON.
local function write(people, key, person, before, joins, leaves)
  local after = shown(person)
  if after then
    redis.call('HSET', people, 'k:' .. key, cjson.encode(person))
  else
    redis.call('HDEL', people, 'k:' .. key)
  end
  if after and after ~= before then
    joins[#joins + 1] = cjson.encode(key) .. ':' .. after
  elseif before and not after then
    leaves[#leaves + 1] = cjson.encode(key) .. ':' .. before
  end
end

-- Returns the version on which those of all groups follow. It is set to the time when another server answers than
-- before, which may have lost the last versions of the one before it. The server: '' if it is not known.
local function floor_of(least, server, keep_s)
  local before, version = string.match(redis.call('GET', least) or '', '^(.*):(%d+)$')
  version = tonumber(version or 0)
  if server ~= '' and server ~= before then
    version = math.max(version, now_us())
    redis.pcall('SET', least, server .. ':' .. string.format('%.0f', version), 'EX', keep_s) -- no memory: next time
  end
  return version
end

-- Publishes what has changed, and returns the version. The versions of a group only grow: that of a new hash is the
-- time or, if the clock was set back, follows on `last`, the highest version of a hash that is gone.
local function publish(people, topic, last, least, command, keep_s, server, joins, leaves)
  local version = tonumber(redis.call('HGET', people, 'v') or 0)
  if #joins + #leaves > 0 then
    local floor = floor_of(least, server, keep_s)
    if version == 0 then version = math.max(now_us(), tonumber(redis.call('GET', last) or 0)) end
    version = math.max(version, floor) + 1
    local text = string.format('%.0f', version)
    redis.call('HSET', people, 'v', text)
    redis.call(command, topic, '{"version":' .. text .. ',"joins":{' .. table.concat(joins, ',') ..
      '},"leaves":{' .. table.concat(leaves, ',') .. '}}')
  end
  if redis.call('HLEN', people) <= 1 then
    redis.call('DEL', people)
    local highest = math.max(version, tonumber(redis.call('GET', last) or 0))
    if highest > 0 then redis.call('SET', last, string.format('%.0f', highest), 'EX', keep_s) end
  else
    redis.call('EXPIRE', people, keep_s)
  end
  return version
end
