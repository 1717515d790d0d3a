import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../daemon/clock.ts'
import { describeError } from '../daemon/logger.ts'
import { readFragmentedSound, type Track } from '../mp4/fragmented-mp4.ts'
import { ignoreMissing, type Folders } from '../segments/folders.ts'
import { lastLine, runTool, ToolError, type MediaTools } from './run-tool.ts'
import { WakeCall } from './wake-call.ts'

/** The sound of a file as AAC, in a temporary file of its own; whoever takes it closes and removes it. */
export type EncodedSound = { file: FileHandle; path: string } & (
  { is: 'encoded'; track: Track } | { is: 'failed'; reason: string }
)

/** An error says nothing of the file. */
type Outcome = { sound: EncodedSound } | { error: unknown }

interface Wish {
  path: string
  /** Device, inode, size and mtime of the file. */
  mark: string
}

export interface SoundEncoderDeps {
  folders: Folders
  tools: MediaTools
  clock: Clock
  /** Told when the sound of a file can be taken. */
  onReady: (path: string) => void
}

const atMostMs = 30 * 60_000

/**
 * Encodes sound that browsers don't play, G.711 above all: one file at a time and at the lowest
 * priority, so that it keeps no other file from being uploaded.
 */
export class SoundEncoder {
  readonly #deps: SoundEncoderDeps
  readonly #wishes = new Map<string, Wish>()
  readonly #ready = new Map<string, { mark: string; outcome: Outcome }>()
  readonly #wished: WakeCall

  constructor(deps: SoundEncoderDeps) {
    this.#deps = deps
    this.#wished = new WakeCall(deps.clock)
  }

  /** The sound of a file in this state; if it isn't encoded yet, undefined, and it will be. Throws what kept it from that. */
  take(path: string, info: Stats): EncodedSound | undefined {
    const mark = [info.dev, info.ino, info.size, info.mtimeMs].join(':')
    const ready = this.#ready.get(path)
    this.#ready.delete(path)
    if (ready?.mark === mark) {
      if ('sound' in ready.outcome) return ready.outcome.sound
      throw ready.outcome.error
    }
    if (ready && 'sound' in ready.outcome) void discard(ready.outcome.sound)
    if (this.#wishes.get(path)?.mark !== mark) this.#wishes.set(path, { path, mark })
    this.#wished.ring()
    return undefined
  }

  /** Encodes what is wished for, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#discardGone()
      const [wish] = this.#wishes.values()
      if (wish) await this.#fulfil(wish, signal)
      else await this.#wished.sleep(60_000, signal)
    }
    for (const { outcome } of this.#ready.values())
      if ('sound' in outcome) await discard(outcome.sound)
    this.#ready.clear()
  }

  /** The sound of files that are gone, which nobody will take. */
  async #discardGone(): Promise<void> {
    for (const [path, { outcome }] of this.#ready) {
      if (await lstat(path).catch(ignoreMissing)) continue
      this.#ready.delete(path)
      if ('sound' in outcome) await discard(outcome.sound)
    }
  }

  async #fulfil(wish: Wish, signal: AbortSignal): Promise<void> {
    const { path, mark } = wish
    const { folders, tools } = this.#deps
    const outcome = await encodeSound({ folder: folders.tmp, tools }, path, signal).then(
      (sound) => ({ sound }),
      (error: unknown) => ({ error }),
    )
    if (this.#wishes.get(path) === wish) this.#wishes.delete(path)
    this.#ready.set(path, { mark, outcome })
    if (!signal.aborted) this.#deps.onReady(path)
  }
}

/** Encodes the sound of a file, at the lowest priority; throws where that says nothing of the file. */
export async function encodeSound(
  { folder, tools }: { folder: string; tools: MediaTools },
  path: string,
  signal: AbortSignal,
): Promise<EncodedSound> {
  const temporary = join(folder, `finalize-${randomUUID()}.mp4`)
  let file: FileHandle | undefined
  try {
    const reason = await runEncoder(tools, { path, temporary }, signal)
    file = await open(temporary, 'a+')
    if (reason !== undefined) return { is: 'failed', reason, file, path: temporary }
    const track = await readFragmentedSound(file)
    if (track) return { is: 'encoded', track, file, path: temporary }
    return { is: 'failed', reason: 'its sound cannot be encoded', file, path: temporary }
  } catch (error) {
    await file?.close()
    await rm(temporary, { force: true })
    throw error
  }
}

/** Answers why it can't be had. */
async function runEncoder(
  tools: MediaTools,
  { path, temporary }: { path: string; temporary: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  const args = ['-n', '19', tools.ffmpeg, ...encoderArgs(path, temporary)]
  try {
    const { code, stderr } = await runTool('nice', args, atMostMs, signal)
    return code === 0 ? undefined : `its sound cannot be encoded (${lastLine(stderr)})`
  } catch (error) {
    if (error instanceof ToolError && error.isAboutTheFile) return describeError(error)
    throw error
  }
}

/** Times stay those of the source; where it has no sound for a while, silence. */
function encoderArgs(path: string, temporary: string): string[] {
  return [
    ...['-v', 'error', '-nostdin', '-y', '-copyts', '-protocol_whitelist', 'file'],
    ...['-f', 'mov', '-i', `file:${path}`, '-map', '0:a:0', '-vn'],
    ...['-af', 'aresample=async=1', '-c:a', 'aac'],
    ...['-movflags', '+empty_moov+default_base_moof+frag_discont', '-frag_duration', '1000000'],
    ...['-use_editlist', '0', '-avoid_negative_ts', 'disabled', '-f', 'mp4', `file:${temporary}`],
  ]
}

async function discard({ file, path }: EncodedSound): Promise<void> {
  await file.close()
  await rm(path, { force: true })
}
