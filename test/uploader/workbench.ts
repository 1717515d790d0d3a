import { execFile } from 'node:child_process'
import {
  copyFile,
  mkdir,
  open,
  readFile,
  rename,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../src/daemon/clock.ts'
import type { Log } from '../../src/daemon/logger.ts'
import { foldersBelow, makeFolders, type Folders } from '../../src/segments/folders.ts'
import { ClosedSegments } from '../../src/segments/closed-segments.ts'
import { Gaps } from '../../src/segments/gaps.ts'
import type { FinalizeDeps } from '../../src/uploader/finalize.ts'
import { Ledger } from '../../src/uploader/ledger.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import type { PrunerDeps } from '../../src/uploader/pruner.ts'
import { S3ObjectStore, type S3Settings } from '../../src/uploader/s3-object-store.ts'
import type { MediaTools } from '../../src/uploader/run-tool.ts'
import { SoundEncoder } from '../../src/uploader/sound-encoder.ts'
import { shipSegment, type ShipDeps, type ShipEnd } from '../../src/uploader/ship-segment.ts'
import { KeyClaims } from '../../src/uploader/object-place.ts'
import { S3Server, type S3ServerOptions } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const run = promisify(execFile)

export const never = new AbortController().signal
export const tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }

/** What was logged, as `LEVEL sentence {fields}`. */
export class LogLines implements Log {
  readonly lines: string[] = []
  readonly debug = this.#at('DEBUG')
  readonly info = this.#at('INFO')
  readonly warn = this.#at('WARNING')
  readonly error = this.#at('ERROR')

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length
  }

  #at(level: string) {
    return (fields: Record<string, unknown>, sentence: string): void => {
      this.lines.push(`${level} ${sentence} ${JSON.stringify(fields)}`)
    }
  }
}

/** A segment as the recorder leaves it: fragmented H.264 and AAC, 2 s. */
export async function fragmented(): Promise<string> {
  const flags = '+empty_moov+default_base_moof+frag_keyframe'
  return cached('fragmented', ['-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', flags])
}

export async function fragmentedHevc(): Promise<string> {
  const flags = '+empty_moov+default_base_moof+frag_keyframe'
  const quiet = ['-x265-params', 'log-level=error', '-tag:v', 'hev1']
  return cached('hevc', ['-c:v', 'libx265', ...quiet, '-preset', 'ultrafast', '-movflags', flags])
}

/** As another program writes it: only FFmpeg can finalize it. */
export async function foreign(): Promise<string> {
  const flags = '+empty_moov+frag_keyframe'
  return cached('foreign', ['-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', flags])
}

/** The same, finalized: shipping it takes no remux. */
export async function finalized(): Promise<string> {
  const flags = ['-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', '+faststart']
  return cached('finalized', flags)
}

/** The least that a recorder leaves: a file of a few kB that plays. */
export async function tiny(): Promise<string> {
  const fragments = '+empty_moov+default_base_moof+frag_keyframe'
  const flags = ['-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', fragments]
  return cached('least', ['-vf', 'scale=64:36', '-an', '-frames:v', '5', ...flags])
}

/** A finalized file that takes so much room on the disk. */
export async function solid(path: string, bytes: number): Promise<void> {
  await padded(path, bytes)
  await writeFile(path, await readFile(path))
}

/** A finalized file, padded by a hole to a size. */
export async function padded(path: string, bytes: number): Promise<void> {
  await copyFile(await finalized(), path)
  const { size } = await stat(path)
  const header = Buffer.alloc(16)
  header.writeUInt32BE(1)
  header.write('free', 4)
  header.writeBigUInt64BE(BigInt(bytes - size), 8)
  const file = await open(path, 'a')
  await file.write(header)
  await file.close()
  await truncate(path, bytes)
}

async function cached(name: string, output: string[]): Promise<string> {
  const folder = join(tmpdir(), 'camera-to-s3-uploader-tests')
  const path = join(folder, `${name}.mp4`)
  if (existsSync(path)) return path
  await mkdir(folder, { recursive: true })
  const temporary = join(folder, `${name}.${process.pid}.mp4`)
  const video = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=10', '-g', '10']
  const audio = ['-f', 'lavfi', '-i', 'sine', '-c:a', 'aac', '-t', '2']
  const inputs = [...video.slice(0, 4), ...audio.slice(0, 4)]
  const codecs = [...video.slice(4), ...audio.slice(4)]
  await run('ffmpeg', ['-v', 'error', '-y', ...inputs, ...codecs, ...output, temporary])
  await rename(temporary, path)
  return path
}

export interface Workbench {
  server: S3Server
  folders: Folders
  log: LogLines
  store: S3ObjectStore
  ledger: Ledger
  deps: ShipDeps
  pruning: PrunerDeps
  /** Puts a file, a finalized one unless told otherwise, into recordings/; its path. */
  record: (name: string, source?: string) => Promise<string>
  ship: (path: string, signal?: AbortSignal) => Promise<ShipEnd>
  ledgerText: (day: string) => Promise<string>
  gapsText: (day: string) => Promise<string>
}

/** Everything that ships a file, around a real S3 server and real folders. */
export async function openWorkbench(
  t: TestContext,
  options: S3ServerOptions = {},
  settings: Partial<S3Settings> = {},
  base?: string,
): Promise<Workbench> {
  const server = await S3Server.start(options)
  t.after(async () => server.close())
  const folders = foldersBelow(base ?? (await temporaryFolder(t)))
  await makeFolders(folders)
  const log = new LogLines()
  const store = new S3ObjectStore({ ...settingsFor(server), ...settings })
  const ledger = new Ledger(folders.ledger)
  const common = { store, ledger, folders, prefix: 'recordings', log, clock: systemClock }
  const begun = { startedMs: Date.now(), claims: new KeyClaims() }
  const media = finalizing(folders)
  const deps = { ...common, ...begun, ...media, gaps: new Gaps(folders.gaps) }
  const problems = new ProblemLog(log, systemClock)
  return {
    ...{ server, folders, log, store, ledger, deps },
    pruning: { ...common, closed: media.closed, problems, retentionMs: 0, storeFails: () => false },
    record: async (name, source) => {
      const path = join(folders.recordings, name)
      await copyFile(source ?? (await finalized()), path)
      const recordedMs = new Date('2025-01-25T15:30:47').getTime()
      await utimes(path, recordedMs / 1000, recordedMs / 1000)
      return path
    },
    ship: async (path, signal = never) => shipSegment(deps, path, () => {}, signal),
    ledgerText: async (day) => readFile(join(folders.ledger, `${day}.ndjson`), 'utf8'),
    gapsText: async (day) => readFile(join(folders.gaps, `${day}.ndjson`), 'utf8'),
  }
}

/** What finalizing takes; nobody encodes sound here unless its `run` is called. */
export function finalizing(folders: Folders, mediaTools: MediaTools = tools) {
  const sounds = new SoundEncoder({
    ...{ folders, tools: mediaTools, clock: systemClock, onReady: () => {} },
  })
  const closed = new ClosedSegments(folders.closed)
  const deps = { folders, tools: mediaTools, proof: 'crc32' as const, closed, sounds }
  return deps satisfies FinalizeDeps
}

export function settingsFor({ url, options }: S3Server): S3Settings {
  const { bucket, accessKeyId, secretAccessKey } = options
  const credentials = { accessKeyId, secretAccessKey }
  const kept = { storageClass: 'STANDARD', encryption: 'AES256' } as const
  return { bucket, region: 'us-east-1', endpoint: url, credentials, ...kept }
}

/** Runs `work` with the SDK believing that a server is AWS itself. */
export async function asAws<T>(
  server: S3Server,
  work: (settings: S3Settings) => Promise<T>,
): Promise<T> {
  const { endpoint: _, ...settings } = settingsFor(server)
  process.env.AWS_ENDPOINT_URL_S3 = server.url
  try {
    return await work(settings)
  } finally {
    delete process.env.AWS_ENDPOINT_URL_S3
  }
}
