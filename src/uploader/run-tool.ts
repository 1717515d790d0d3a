import { spawn } from 'node:child_process'
import { hasCode } from '../segments/folders.ts'

/** FFmpeg's programs, as this machine calls them. */
export interface MediaTools {
  ffmpeg: string
  ffprobe: string
}

/** How a program ended, by itself. */
export interface ToolEnd {
  code: number
  stdout: string
  /** Its last lines. */
  stderr: string
}

/** A program that couldn't do its work for a reason that says nothing about the file. */
export class ToolError extends Error {
  /** Whether every file would meet it. */
  readonly machineWide: boolean

  constructor(message: string, machineWide: boolean, cause?: unknown) {
    super(message, { cause })
    this.machineWide = machineWide
  }
}

const mostText = 1 << 20

/** What programs say when the machine is short of something, whatever they read. */
const shortage =
  /Too many open files|Cannot allocate memory|Input\/output error|Resource temporarily unavailable/

/**
 * Runs a program to its own end. One that can't be started, doesn't end in time, is killed, or
 * runs out of something is a ToolError; an abort ends it and throws the signal's reason.
 */
export async function runTool(
  command: string,
  args: string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ToolEnd> {
  const end = await spawnTool(command, args, timeoutMs, signal)
  signal.throwIfAborted()
  if (end.timedOut) throw new ToolError(`${command} did not end within ${timeoutMs} ms`, false)
  if (end.code === null) throw new ToolError(`${command} was ended by ${end.killedBy}`, false)
  // 126 and 127: a shell wrapper or the loader couldn't run it.
  if (end.code === 126 || end.code === 127)
    throw new ToolError(`${command} cannot be run: ${end.stderr.trim()}`, true)
  if (shortage.test(end.stderr))
    throw new ToolError(`${command} failed: ${lastLine(end.stderr)}`, false)
  return { code: end.code, stdout: end.stdout, stderr: end.stderr }
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}

interface RawEnd {
  code: number | null
  killedBy: NodeJS.Signals | null
  timedOut: boolean
  stdout: string
  stderr: string
}

async function spawnTool(
  command: string,
  args: string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<RawEnd> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    // A process group of its own: a Ctrl-C is for the daemon, which decides what becomes of it.
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const output = { stdout: '', stderr: '' }
    let timedOut = false
    const kill = (): void => void child.kill('SIGKILL')
    const timer = setTimeout(() => {
      timedOut = true
      kill()
    }, timeoutMs)
    signal.addEventListener('abort', kill)
    const over = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', kill)
    }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] = (output[name] + text).slice(-mostText)
      })
    child.on('error', (error) => {
      over()
      const advice = hasCode(error, 'ENOENT') ? ': is FFmpeg installed, and in PATH?' : ''
      reject(new ToolError(`${command} cannot be run${advice}`, true, error))
    })
    child.on('close', (code, killedBy) => {
      over()
      resolve({ code, killedBy, timedOut, ...output })
    })
  })
}
