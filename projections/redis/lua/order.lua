-- What our values end with is fixed, so that neither JSON nor numbers have to be
-- decoded: ,"schema":N,"order":"49 digits"} or, signed, …,"mac":"64 hex digits"}.
-- Within a JSON string, quotes are escaped: nothing there looks like it.
local function ending(value)
  local tail = string.sub(value, -200)
  local schema, order = string.match(tail, ',"schema":(%d+),"order":"(%d+)"}$')
  if not schema then
    schema, order = string.match(tail, ',"schema":(%d+),"order":"(%d+)","mac":"%x+"}$')
  end
  if schema and #order == 49 and #schema <= 6 then
    return tonumber(schema), order
  end
end

-- compare returns below, at or above zero, as order a is older, equal or newer.
-- Seven digits at a time are exact numbers; as text, the server's locale decides.
local function compare(a, b)
  for i = 1, 49, 7 do
    local x, y = tonumber(string.sub(a, i, i + 6)), tonumber(string.sub(b, i, i + 6))
    if x ~= y then return x - y end
  end
  return 0
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- held returns what the key holds: false if nothing, nil if it is no string.
local function held(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return nil end
    error(value.err)
  end
  return value
end
