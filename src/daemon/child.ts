import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'
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
  kill(signal: NodeJS.Signals): void
  /** When it has ended and all that it wrote has been read. */
  ended: Promise<ChildEnd>
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
  const [, stdout, stderr, ...others] = child.stdio as unknown as Readable[]
  createInterface({ input: stderr as Readable }).on('line', keep)
  // A child that ends early closes its stdin: its exit says why.
  child.stdin?.on('error', () => {})
  child.stdin?.end(stdin)
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once('error', (error) => {
      keep(error.message)
      if (child.pid === undefined) resolve({ code: null, signal: null, lines })
    })
    child.once('close', (code, signal) => resolve({ code, signal, lines }))
  })
  return {
    pid: child.pid,
    outputs: [stdout as Readable, ...others],
    kill: (signal) => void child.kill(signal),
    ended,
  }
}
