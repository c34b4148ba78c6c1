-- Before each script that writes to a history.
-- Removes the entries that are older than a time in ms, the oldest first, so many at most.
local function trim(stream, cutoff, most)
  for _ = 1, most do
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][2]) >= cutoff then return end
    redis.call('XDEL', stream, first[1])
  end
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Appends messages to a history: {head, at, rest} each, whose position is written into the head after ``at`` bytes (a
-- negative number: nowhere). Sets ``placed``, the head with its position, and returns the first offset and the epoch.
local function record(stream, position, messages, count, seconds, longer, fresh)
  local now = milliseconds()
  local known = redis.call('HMGET', position, 'epoch', 'renewed')
  local epoch, renewed = known[1], tonumber(known[2] or 0)
  if not epoch then
    epoch = fresh
    redis.call('HSET', position, 'epoch', epoch) -- the first to write: then a Redis without memory refuses
    redis.call('DEL', stream)
    renewed = 0
  end
  local first, time = redis.call('HINCRBY', position, 'offset', #messages) - #messages + 1, string.format('%.0f', now)
  local function add(i)
    local message, offset = messages[i], string.format('%016.0f', first + i - 1)
    local head, at = message.head, message.at
    if at >= 0 then head = string.sub(head, 1, at) .. offset .. epoch .. string.sub(head, at + 33) end
    message.placed = head
    local added = redis.pcall('XADD', stream, 'MAXLEN', count, offset .. '-0', 't', time, 'm', head .. message.rest)
    return type(added) == 'table' and added.err
  end

  for i = 1, #messages do
    local refused = add(i)
    if i == 1 and refused and string.find(refused, 'equal or smaller', 1, true) then
      epoch, first, renewed = fresh, 1, 0 -- the position is older than the stream, so both begin again
      redis.call('DEL', stream)
      redis.call('HSET', position, 'epoch', epoch, 'offset', #messages)
      redis.call('HDEL', position, 'before')
      refused = add(i)
    end
    if refused then error(refused) end
  end
  -- Not with each message, because that would take as long as all the rest.
  if math.abs(now - renewed) >= seconds * 50 then
    redis.call('HSET', position, 'renewed', time)
    trim(stream, now - seconds * 1000, 1000)
    redis.call('EXPIRE', stream, math.ceil(seconds * 1.05) + 1)
    redis.call('EXPIRE', position, math.ceil(longer * 1.05) + 1)
  end
  return first, epoch
end
