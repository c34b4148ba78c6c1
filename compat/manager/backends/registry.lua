-- What all scripts of the registry share; each of them follows this text. Keys, after the prefix in ARGV[1]:
--   connections        hash    id -> {"s": server, "i": its name, "k": user key, "u": user, "a": address, "t": since}
--   servers            zset    server by the end of its lease, in milliseconds of this server's clock
--   reports            hash    server -> its statistics in JSON
--   server:<server>    set     ids of its connections
--   users, groups      zset    by how many connections they have
--   user:<key>, group:<key>    set of ids
--   in:<id>            set     groups of a connection
-- Servers use one Redis, so keys may be made of what other keys hold.
local P = ARGV[1]
local CONNECTIONS, SERVERS, REPORTS = P .. 'connections', P .. 'servers', P .. 'reports'
local USERS, GROUPS = P .. 'users', P .. 'groups'

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function last(key, seconds)
  if tonumber(seconds) > 0 then
    redis.call('EXPIRE', key, seconds)
  end
end

-- Write down how many there are left in a set, in the ranking of its kind.
local function rank(ranking, name, set)
  local count = redis.call('SCARD', set)
  if count == 0 then
    redis.call('ZREM', ranking, name)
  else
    redis.call('ZADD', ranking, count, name)
  end
end

local function join(id, group, group_expiry)
  local added = redis.call('SADD', P .. 'group:' .. group, id)
  redis.call('SADD', P .. 'in:' .. id, group)
  last(P .. 'group:' .. group, group_expiry)
  last(P .. 'in:' .. id, group_expiry)
  rank(GROUPS, group, P .. 'group:' .. group)
  last(GROUPS, group_expiry)
  return added
end

local function leave(id, group)
  local removed = redis.call('SREM', P .. 'group:' .. group, id)
  redis.call('SREM', P .. 'in:' .. id, group)
  rank(GROUPS, group, P .. 'group:' .. group)
  return removed
end

local function enter(id, record, server, user, expiry)
  redis.call('HSET', CONNECTIONS, id, record)
  redis.call('SADD', P .. 'server:' .. server, id)
  last(CONNECTIONS, expiry)
  last(P .. 'server:' .. server, expiry)
  if user ~= '' then
    redis.call('SADD', P .. 'user:' .. user, id)
    last(P .. 'user:' .. user, expiry)
    rank(USERS, user, P .. 'user:' .. user)
    last(USERS, expiry)
  end
end

-- Returns 1 if the connection was known, and 1 if it was the last of its user.
local function forget(id)
  for _, group in ipairs(redis.call('SMEMBERS', P .. 'in:' .. id)) do
    leave(id, group)
  end
  local record = redis.call('HGET', CONNECTIONS, id)
  if not record then
    return 0, 0
  end
  record = cjson.decode(record)
  redis.call('HDEL', CONNECTIONS, id)
  redis.call('SREM', P .. 'server:' .. record.s, id)
  local users = 0
  if record.k ~= '' then
    redis.call('SREM', P .. 'user:' .. record.k, id)
    rank(USERS, record.k, P .. 'user:' .. record.k)
    if redis.call('EXISTS', P .. 'user:' .. record.k) == 0 then
      users = 1
    end
  end
  return 1, users
end
