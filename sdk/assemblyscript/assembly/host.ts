// What a guest can ask of its host: to write a line to the agent's log, and to send an HTTP request to a hostname that it was granted. There is nothing
// else: a guest has no files, no environment, no sockets and a clock that stands still.

import { sendHttp, sendLog } from "./guest";
import { decode } from "./read";
import { HttpError, HttpRequest, HttpResponse, LogRecord } from "./request";
import { Writer } from "./write";

/** Writes one record to the agent's log, which adds the module's name. The host shortens what is too long. level is debug, info, warn or error. */
export function log(level: string, message: string, fields: Map<string, string> = new Map()): void {
  const record = new LogRecord();
  record.level = level;
  record.message = message;
  record.fields = fields;
  const w = new Writer();
  w.whole(record);
  sendLog(w.toString());
}

/**
 * Sends one request and returns the whole answer. Every failure is in its error: a refused hostname, a timeout, an answer that is too large. A status
 * of 400 or more is no failure. It blocks until then.
 */
export function httpSend(request: HttpRequest): HttpResponse {
  const w = new Writer();
  w.whole(request);
  const answer = new HttpResponse();
  const wrong = decode(answer, sendHttp(w.toString()));
  if (!wrong.length) return answer;
  const error = new HttpError();
  error.kind = "invalid";
  error.message = wrong;
  const out = new HttpResponse();
  out.error = error;
  return out;
}
