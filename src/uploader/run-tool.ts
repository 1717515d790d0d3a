import { freemem } from 'node:os'
import { runChild, type ChildResult } from '../daemon/child.ts'
import { memoryFor, withMemory } from '../daemon/memory-limit.ts'

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

  readonly timedOut: boolean
  /** Whether it needs more memory than it is ever given, though this machine has some. */
  readonly outOfMemory: boolean

  constructor(
    message: string,
    { machineWide = false, timedOut = false, outOfMemory = false } = {},
  ) {
    super(message)
    this.machineWide = machineWide
    this.timedOut = timedOut
    this.outOfMemory = outOfMemory
  }

  /** Whether another try would most likely end like this one. */
  get isAboutTheFile(): boolean {
    return this.timedOut || this.outOfMemory
  }
}

/** What programs say when the machine is short of something, whatever they read. */
const shortage = /Too many open files|Input\/output error|Resource temporarily unavailable/
/** Or when they meet their memory limit; on a machine with this much free. */
const noMemory = /Cannot allocate memory|malloc of size \d+ failed/
/** A file may need more memory than others, or only claim to hold billions of something. */
const secondTryFactor = 4
const muchMemoryBytes = 512 * 1024 * 1024

/**
 * Runs a program to its own end; one that meets its memory limit, once more with four times as much.
 * One that can't be started, doesn't end in time, is killed, or runs out of something is a ToolError;
 * an abort ends it and throws the signal's reason.
 */
export async function runTool(
  command: string,
  args: string[],
  atMostMs: number,
  signal: AbortSignal,
): Promise<ToolEnd> {
  signal.throwIfAborted()
  const runWith = async (bytes: number): Promise<ChildResult> =>
    runChild(withMemory(bytes, [command, ...args]), { atMostMs }, signal)
  let end = await runWith(memoryFor.copying)
  if (lacksMemory(end)) end = await runWith(memoryFor.copying * secondTryFactor)
  const { code, signal: killedBy, lines, stdout, timedOut } = end
  signal.throwIfAborted()
  const said = lines.join('\n')
  if (timedOut)
    throw new ToolError(`${command} did not end within ${atMostMs} ms`, { timedOut: true })
  if (killedBy !== null) throw new ToolError(`${command} was ended by ${killedBy}`)
  // 126 and 127: a shell wrapper or the loader couldn't run it.
  if (code === null || code === 126 || code === 127)
    throw new ToolError(
      `${command} cannot be run: is FFmpeg installed, and in PATH?${said && ` (${said})`}`,
      {
        machineWide: true,
      },
    )
  const outOfMemory = lacksMemory(end)
  if (outOfMemory && freemem() >= muchMemoryBytes)
    throw new ToolError(`${command} has not enough memory for it`, { outOfMemory })
  if (outOfMemory || shortage.test(said)) throw new ToolError(`${command} failed: ${lines.at(-1)}`)
  return { code, stdout, stderr: said }
}

function lacksMemory({ code, lines }: ChildResult): boolean {
  return code !== 0 && noMemory.test(lines.join('\n'))
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
