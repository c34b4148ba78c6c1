-- Before each script that puts messages into queues: what is old is decided by the clock of Redis alone.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
-- Returns the score of a message: its sender's time, unless that clock is far from Redis' own.
local function score_of(sent, expiry)
  if math.abs(tonumber(sent) - now) <= math.min(5, tonumber(expiry) / 2) then return sent end
  return string.format('%.6f', now)
end
