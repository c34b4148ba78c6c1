-- Forget connections of a server whose lease has ended. ARGV: prefix, how many connections and groups at most,
-- server, 1 if whatever its lease says, and the ids; what another server has is left to it.
-- Returns {how many of the ids are done, connections forgotten, users that have none left, 1 if the server is
-- alive}. An id is not done while it has more groups than there was time for.
local left, server, force = tonumber(ARGV[2]), ARGV[3], ARGV[4]
if force ~= '1' then
  local away = elsewhere({CONNECTIONS, SERVERS})
  if away then
    return away
  end
  if lives(server, now_ms()) then
    return {0, 0, 0, 1}
  end
end
local done, connections, users = 0, 0, 0

-- Returns the error if a key is elsewhere, and nothing has been done with this id.
local function forget(id)
  local joined = P .. 'in:' .. id
  local away = elsewhere({CONNECTIONS, joined})
  if away then
    return away
  end
  local record = redis.call('HGET', CONNECTIONS, id)
  record = record and cjson.decode(record)
  if record and record.s ~= server then
    away = elsewhere(places(server, ''))
    if not away then
      redis.call('SREM', P .. 'server:' .. server, id)
      done = done + 1
    end
    return away
  end

  local groups = redis.call('SRANDMEMBER', joined, left)
  local keys = places(server, record and record.k or '')
  if #groups > 0 then
    keys[#keys + 1] = GROUPS
  end
  for _, group in ipairs(groups) do
    keys[#keys + 1] = P .. 'group:' .. group
  end
  away = elsewhere(keys)
  if away then
    return away
  end
  local has_more = redis.call('SCARD', joined) > #groups
  for _, group in ipairs(groups) do
    leave(id, group)
  end
  left = left - #groups
  if has_more then
    return nil
  end
  done = done + 1
  redis.call('SREM', P .. 'server:' .. server, id)
  if record then
    redis.call('HDEL', CONNECTIONS, id)
    connections = connections + 1
    if record.k ~= '' then
      local _, others = take_out(P .. 'user:' .. record.k, id, USERS, record.k)
      users = users + (others == 0 and 1 or 0)
    end
  end
  return nil
end

local at = 5
while left > 0 and at <= #ARGV do
  local away = forget(ARGV[at])
  if away and done == 0 then
    return away
  elseif away then
    break -- the caller asks for the others again
  end
  at, left = at + 1, left - 1
end
return {done, connections, users, 0}
