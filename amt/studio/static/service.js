// The server: answers as JSON, and streams of events.

export class ServiceError extends Error {}

async function post(path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  throw new ServiceError((answer.error || `The server answered ${response.status}.`) + (wait ? ` (in ${wait} s)` : ""));
}

export const ask = async (path, body, signal) => (await post(path, body, signal)).json();
export const blob = async (path, body) => (await post(path, body)).blob();

export async function get(path, method = "GET") {
  const response = await fetch(path, {method}).catch(() => null);
  if (!response) throw new ServiceError("The server does not answer. Is it still running?");
  if (!response.ok) throw new ServiceError((await response.json().catch(() => ({}))).error || "Not found.");
  return response.json();
}

// Calls on[NAME](value) for each event; returns the value of "result".
export async function follow(path, body, on, signal) {
  const response = await post(path, {...body, stream: true}, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", result = null;
  for (;;) {
    const {value, done} = await reader.read();
    if (done) break;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const name = lines[0].slice(7), data = JSON.parse(lines[1].slice(6));
      if (name === "error") throw new ServiceError(data.error);
      if (name === "result") result = data;
      else if (on[name]) on[name](data);
    }
  }
  if (!result) throw new ServiceError("The server ended before the piece was done.");
  return result;
}
