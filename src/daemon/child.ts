import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { childVariables } from './environment.ts'

/** How a child ended: it never fails to end with one of these. */
export interface ChildEnd {
  /** Null where a signal ended it, or where it could not be started. */
  code: number | null
  signal: NodeJS.Signals | null
  /** The last lines that it wrote to stderr, or why it could not be started. */
  lines: string[]
}

export interface Child {
  /** Undefined where it could not be started. */
  pid: number | undefined
  /** What it writes: stdout, and the pipes from descriptor 3 on. */
  outputs: Readable[]
  /** Signals it and its own children, if any; nothing if it has ended. */
  kill(signal: NodeJS.Signals): void
  /** When it has ended and all that it wrote has been read. */
  ended: Promise<ChildEnd>
  /** Whether it ends within so many milliseconds. */
  endsWithin(ms: number): Promise<boolean>
  /** Closes its pipes and forgets one that not even SIGKILL ends. */
  abandon(): void
}

export interface ChildOptions {
  /** Written to its stdin, which is then closed; without it stdin is empty. */
  stdin?: string
  /** How many pipes it gets beyond stderr. */
  pipes?: number
  /** Sees each line of its stderr; one that answers false is not kept for the end. */
  onLine?: (line: string) => boolean
}

const linesKept = 20
/** Far more than FFmpeg writes of a camera that is well. */
const piecesPerSecond = 200
const gatherMs = 20
/** A grandchild may hold the pipes open after the child has ended. */
const pipesAtMostMs = 2000

/**
 * Starts a program in a process group of its own (a Ctrl-C reaches it through us, once) and
 * without the secrets in our environment.
 */
export function startChild(command: string[], options: ChildOptions = {}): Child {
  const { stdin, pipes = 0, onLine = () => true } = options
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    detached: true,
    env: childVariables(),
    stdio: ['pipe', 'pipe', 'pipe', ...Array.from({ length: pipes }, () => 'pipe' as const)],
  })
  const lines: string[] = []
  const keep = (line: string): void => {
    if (!onLine(line)) return
    lines.push(line)
    if (lines.length > linesKept) lines.shift()
  }
  const ended = endOf(child, lines, keep)
  // Without a file descriptor left there are no pipes; `ended` says so.
  const [, stdout, stderr, ...others] = (child.stdio ?? []) as unknown as Readable[]
  if (stderr) {
    createInterface({ input: stderr }).on('line', keep)
    readSeldom(stderr, child)
  }
  // A child that ends early closes its stdin: its exit says why.
  child.stdin?.on('error', () => {})
  child.stdin?.end(stdin)
  return {
    pid: child.pid,
    outputs: stdout ? [stdout, ...others] : [],
    kill: (signal) => killGroup(child, signal),
    ended,
    endsWithin: async (ms) => isSettledWithin(ended, ms),
    abandon: () => {
      closePipes(child)
      child.unref()
    },
  }
}

/**
 * Makes whatever comes in very many small pieces come in fewer: each costs more than a hundred of
 * its bytes. A program that writes more than a pipe holds meanwhile has to wait. What is left when the
 * child has ended comes at once.
 */
function readSeldom(stream: Readable, child: ChildProcess): void {
  let sinceMs = 0
  let pieces = 0
  stream.on('data', () => {
    const nowMs = performance.now()
    if (nowMs - sinceMs >= 1000) {
      sinceMs = nowMs
      pieces = 0
    }
    pieces += 1
    if (pieces <= piecesPerSecond || hasExited(child)) return
    stream.pause()
    setTimeout(() => stream.resume(), gatherMs)
  })
}

async function endOf(
  child: ChildProcess,
  lines: string[],
  keep: (line: string) => void,
): Promise<ChildEnd> {
  return new Promise((resolve) => {
    child.on('error', (error) => {
      keep(error.message)
      if (child.pid === undefined) resolve({ code: null, signal: null, lines })
    })
    child.once('exit', () => {
      // A process that was held up first reads what waits in the pipes: that comes before an immediate.
      const close = (): void => void setImmediate(() => closePipes(child))
      const timer = setTimeout(close, pipesAtMostMs)
      child.once('close', () => clearTimeout(timer))
    })
    child.once('close', (code, signal) => resolve({ code, signal, lines }))
  })
}

function hasExited({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

function closePipes(child: ChildProcess): void {
  for (const stream of child.stdio) stream?.destroy()
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || hasExited(child)) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended in this moment.
  }
}

async function isSettledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const isInTime = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return isInTime
}

/** What a program that was waited for has said. */
export interface ChildResult extends ChildEnd {
  stdout: string
  timedOut: boolean
}

/**
 * Runs a program to its end, which an abort or the time limit brings about by SIGKILL. One that
 * doesn't end even then (a dead disk holds it) is not waited for.
 */
export async function runChild(
  command: string[],
  { stdin, atMostMs }: { stdin?: string; atMostMs: number },
  signal?: AbortSignal,
): Promise<ChildResult> {
  const child = startChild(command, stdin === undefined ? {} : { stdin })
  const chunks: Buffer[] = []
  child.outputs[0]?.on('data', (chunk: Buffer) => void chunks.push(chunk))
  const kill = (): void => child.kill('SIGKILL')
  signal?.addEventListener('abort', kill)
  if (signal?.aborted) kill()
  const inTime = await child.endsWithin(atMostMs)
  kill()
  const hasEnded = await child.endsWithin(inTime ? 0 : pipesAtMostMs)
  if (!hasEnded) child.abandon()
  const end = hasEnded ? await child.ended : { code: null, signal: null, lines: [] }
  signal?.removeEventListener('abort', kill)
  return { ...end, stdout: Buffer.concat(chunks).toString(), timedOut: !inTime }
}
