/**
 * Ends the base that this process is, as `node --import nodejslet app.js` makes it one: no new connections, the last requests, and all its
 * modules. An application calls it before it ends, where it does so gracefully. Nothing is done where this process is none.
 */
export function end(): Promise<void>;

/** A handler of requests: what a module exports that has no server of its own. */
export interface Handler {
  /** Answers a request. What it throws becomes a 500. */
  fetch(request: Request): Response | Promise<Response>;
}

/** What `"ark"` in `package.json` may say to a base. All of it may be left out. */
export interface Ark {
  /** The file to run, relative to the package. */
  main?: string;
  /** Where the module answers; `/` and its name unless said. */
  contextPath?: string;
  /** The hosts that it answers for; any unless said. */
  hosts?: string[];
  /** The order of starts when a base comes up: smaller first, 100 unless said. */
  priority?: number;
  /** A path inside the module that has to answer with a status below 400 before it gets traffic. */
  probe?: string;
  /** What it runs in; what the base is set to unless said. */
  isolation?: 'process' | 'worker';
  /** Whether it knows its context path, and wants it left in the paths of requests. */
  keepPrefix?: boolean;
  /** The folder that its `build` makes the package in, where that is another than its own: `.next/standalone`. */
  package?: string;
  /** Bounds that differ from the base's. */
  limits?: Limits;
}

/** Bounds of a module. */
export interface Limits {
  /** Memory, buffers included, in bytes. 512 MiB unless said. */
  memoryBytes?: number;
  /** Requests served at the same time. */
  concurrency?: number;
  /** Requests that may wait for one of those places. */
  queue?: number;
  /** The longest wait for one, in milliseconds. */
  queueWaitMs?: number;
  /** From the arrival of a request to the head of its answer, in milliseconds. An event loop that stands still for longer ends the module. */
  requestDeadlineMs?: number;
  /** From the begin of start to the first answer, in milliseconds. 30 s unless said. */
  startDeadlineMs?: number;
  /** How long requests may go on after traffic moved away, in milliseconds. */
  drainDeadlineMs?: number;
  /** The body of a request, in bytes. */
  requestBodyBytes?: number;
  /** The body of an answer, in bytes. */
  responseBodyBytes?: number;
  /** One line of the log, in bytes. */
  logLineBytes?: number;
  /** Lines of log in a second. */
  logLinesPerSecond?: number;
}
