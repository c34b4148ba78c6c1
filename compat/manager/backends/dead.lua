-- The servers whose lease has ended, and whose connections still count.
return redis.call('ZRANGEBYSCORE', SERVERS, '-inf', '(' .. now_ms())
