import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { appendFile, mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { localTime } from '../../src/daemon/local-time.ts'
import { foldersBelow, makeFolders, moveInto, type Folders } from '../../src/segments/folders.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { alter, FaultProxy, loseAnswer, refuse, reset, type Fault } from '../support/fault-proxy.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { NumberedFootage } from './numbered-footage.ts'

const hourMs = 3_600_000
const dayBegins = new Date(2025, 0, 25).getTime()

/**
 * A day of a real uploader on which anything may happen at any moment. Whatever does, `assertKept`
 * holds: each file that was ever finished is, whole, on this disk or in S3.
 */
export class RandomDay {
  readonly folders: Folders
  readonly server: S3Server
  /** What has happened, for whoever has to understand a failure. */
  readonly events: string[] = []
  finished = 0
  kills = 0
  readonly #t: TestContext
  readonly #seed: number
  /** Of each step its own, so that what happens doesn't depend on how fast this machine is. */
  #random: SeededRandom
  readonly #proxy: FaultProxy
  readonly #footage: NumberedFootage
  readonly #clock: FakeClock
  /** Of objects, by where the server keeps their content, which it never changes. */
  readonly #numbers = new Map<string, number>()
  #daemon: RunningDaemon | undefined
  #nowMs = dayBegins

  static async start(t: TestContext, seed: number): Promise<RandomDay> {
    const server = await S3Server.start()
    t.after(async () => server.close())
    const proxy = await FaultProxy.start(server.url)
    t.after(async () => proxy.close())
    const folder = await temporaryFolder(t)
    await makeFolders(foldersBelow(folder))
    const footage = await NumberedFootage.make()
    const day = new RandomDay(t, seed, { server, proxy, footage, folder })
    await day.#startDaemon()
    return day
  }

  private constructor(
    t: TestContext,
    seed: number,
    world: { server: S3Server; proxy: FaultProxy; footage: NumberedFootage; folder: string },
  ) {
    this.#t = t
    this.#seed = seed
    this.#random = new SeededRandom(seed)
    this.server = world.server
    this.#proxy = world.proxy
    this.#footage = world.footage
    this.folders = foldersBelow(world.folder)
    this.#clock = new FakeClock(world.folder)
  }

  /** One thing happens, and an hour or so goes by. */
  async step(): Promise<void> {
    this.#random = new SeededRandom(this.#seed + this.events.length)
    const record = async (): Promise<void> => this.#record()
    const stray = async (): Promise<void> => this.#stray()
    const kill = async (): Promise<void> => this.#kill()
    const happenings = {
      ...{ record, recordMore: record, recordAgain: record, kill, killAgain: kill },
      restart: async () => this.#restart(),
      storeFails: async () => this.#storeFails(),
      storeWorks: async () => void (this.#proxy.plan = () => undefined),
      spoilLedger: async () => this.#spoilLedger(),
      ...{ stray, strayAgain: stray },
      moveBack: async () => this.#moveBack(),
      setClock: async () => this.#clock.set((this.#random.below(2000) - 1000) * hourMs),
      litter: async () => this.#litter(),
    }
    const names = Object.keys(happenings) as (keyof typeof happenings)[]
    const name = this.#random.pick(names)
    this.events.push(name)
    if (!this.#daemon && this.#random.chance(0.7)) await this.#startDaemon()
    await happenings[name]()
    this.#nowMs += this.#random.below(2 * hourMs)
    await sleep(this.#random.below(1500))
  }

  /** Throws where a file that was finished is, whole, neither here nor in S3. */
  async assertKept(): Promise<void> {
    let missing = this.#missing()
    // Looking at one place after the other may miss what moves meanwhile.
    for (let looks = 0; missing.length > 0 && looks < 5; looks += 1) {
      await sleep(50)
      const again = this.#missing()
      missing = missing.filter((number) => again.includes(number))
    }
    assert.deepEqual(missing, [], `lost after ${this.events.join(', ')}:\n${this.#said()}`)
  }

  /** With everything mended, all that was finished gets into S3, once, and leaves the queue. */
  async assertArrives(): Promise<void> {
    this.#proxy.plan = () => undefined
    this.#clock.set(0)
    await this.#daemon?.stop()
    await this.#startDaemon({ LOCAL_RETENTION_HOURS: 0 })
    const { open, recordings } = this.folders
    const left = (): unknown[] => {
      const stored = this.#stored()
      const absent = this.#all().filter((number) => !stored.includes(number))
      return [...[open, recordings].flatMap(filesIn), ...absent]
    }
    const deadline = performance.now() + 60_000
    while (left().length > 0) {
      assert.ok(performance.now() < deadline, `left: ${left().join(' ')}:\n${this.#said()}`)
      await sleep(100)
    }
    // An object that isn't whole, or one that is there twice, would be a number too many.
    const numbers = this.#stored().sort((a = 0, b = 0) => a - b)
    const keys = [...this.server.objects].map(
      ([key, { path }]) => `${this.#numbers.get(path)} ${key}`,
    )
    const after = `after ${this.events.join(', ')}:\n${keys.join('\n')}\n${this.#said()}`
    assert.deepEqual(numbers, this.#all(), after)
  }

  async #record(): Promise<void> {
    const { open, recordings } = this.folders
    for (let files = 1 + this.#random.below(3); files > 0; files -= 1) {
      const name = this.#segmentName()
      const path = join(open, name)
      const how = this.#random.pick(['fragmented', 'finalized'] as const)
      await this.#footage.write(path, this.finished + 1, how)
      this.finished += 1
      // Now and then the recorder dies here, and leaves it to the uploader.
      if (this.#random.chance(0.9)) await moveInto(recordings, path)
      this.#nowMs += this.#random.below(600_000)
    }
  }

  /** Often one that there was before: the clock stepped back. */
  #segmentName(): string {
    const backMs = this.#random.chance(0.3) ? this.#random.below(6) * hourMs : 0
    const { date, time } = localTime(Math.floor((this.#nowMs - backMs) / hourMs) * hourMs)
    const name = `${date.replaceAll('-', '')}_${time.replaceAll(':', '')}.mp4`
    const camera = this.#random.pick(['Front', 'Back_Yard'])
    const path = join(this.folders.open, `${camera}_${name}`)
    return existsSync(path) ? `Other${this.finished}_${name}` : `${camera}_${name}`
  }

  /** At once, or in the middle of one of the next requests. */
  async #kill(): Promise<void> {
    const daemon = this.#daemon
    if (!daemon) return
    if (this.#random.chance(0.6)) {
      const plan = this.#proxy.plan
      let left = this.#random.below(8)
      this.#proxy.plan = (exchange) => {
        left -= 1
        if (left <= 0) daemon.process.kill('SIGKILL')
        return plan(exchange)
      }
      await Promise.race([daemon.ended, sleep(1500)])
      this.#proxy.plan = plan
    }
    daemon.process.kill('SIGKILL')
    await daemon.ended
    this.kills += 1
    this.#daemon = undefined
  }

  async #restart(): Promise<void> {
    await this.#daemon?.stop()
    await this.#startDaemon()
  }

  async #startDaemon(settings: Record<string, number> = {}): Promise<void> {
    const { bucket, accessKeyId, secretAccessKey } = this.server.options
    const variables = {
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: this.#proxy.url },
      ...{ RESCAN_SECONDS: 1, STABLE_SECONDS: 2, UPLOAD_CONCURRENCY: this.#random.pick([1, 2, 4]) },
      // Of an hour, a second or two.
      LOCAL_RETENTION_HOURS: this.#random.pick([0, 0.0004, 24]),
    }
    const { base } = this.folders
    const given = { ...variables, ...settings }
    this.#daemon = await startDaemon(this.#t, 'uploader', base, given, this.#clock.variables)
    await this.#daemon.line(/uploader started/)
  }

  #storeFails(): void {
    const faults: Fault[] = [
      refuse(503, 'SlowDown'),
      refuse(500, 'InternalError'),
      refuse(403, 'AccessDenied'),
      reset,
      loseAnswer,
      alter((body) => Buffer.concat([body.subarray(0, -1), Buffer.from([~(body.at(-1) ?? 0)])])),
      alter((body) => body.subarray(0, -1)),
    ]
    const some = faults.filter(() => this.#random.chance(0.5))
    const probability = this.#random.pick([0.2, 0.6, 1])
    // A store that checks no digest takes what was altered on its way.
    this.server.options.careful = this.#random.chance(0.5)
    const random = new SeededRandom(this.#random.below(2 ** 31))
    this.#proxy.plan = () =>
      some.length > 0 && random.chance(probability) ? random.pick(some) : undefined
  }

  async #spoilLedger(): Promise<void> {
    for (const name of readdirSync(this.folders.ledger)) {
      const path = join(this.folders.ledger, name)
      const { size } = await stat(path)
      const ways = [
        async () => rm(path),
        async () => truncate(path, this.#random.below(size + 1)),
        async () => appendFile(path, Buffer.alloc(50)),
        async () => appendFile(path, '{"file":"Front_20250125_000000.mp4","bytes":1'),
      ]
      await this.#random.pick(ways)()
    }
  }

  /** Footage that nobody ever uploaded, where an earlier system left it, often under a known name. */
  async #stray(): Promise<void> {
    const path = join(this.folders.base, 'stray.mp4')
    await this.#footage.write(path, this.finished + 1, 'finalized')
    this.finished += 1
    const known = [...this.server.objects.keys()].map((key) => basename(key)).sort()
    const isKnown = known.length > 0 && this.#random.chance(0.8)
    const name = isKnown ? this.#random.pick(known) : this.#segmentName()
    await moveInto(this.folders.uploaded, path, name)
  }

  async #moveBack(): Promise<void> {
    const names = readdirSync(this.folders.uploaded).filter((name) => name.endsWith('.mp4'))
    if (names.length === 0) return
    await moveInto(this.folders.recordings, join(this.folders.uploaded, this.#random.pick(names)))
  }

  /** What is no footage. */
  async #litter(): Promise<void> {
    const { recordings, tmp } = this.folders
    const name = (): string => join(recordings, `litter-${this.#random.below(1e6)}.mp4`)
    await writeFile(name(), '')
    await writeFile(name(), Buffer.alloc(this.#random.below(3000), 'noise'))
    await mkdir(name(), { recursive: true })
    await rm(tmp, { recursive: true, force: true })
    await mkdir(tmp, { recursive: true })
  }

  #missing(): number[] {
    const { open, recordings, uploaded } = this.folders
    const here = [open, recordings, uploaded].flatMap((folder) =>
      filesIn(folder).map((name) => join(folder, name)),
    )
    const found = new Set([...here.map((path) => this.#numberOf(path)), ...this.#stored()])
    return this.#all().filter((number) => !found.has(number))
  }

  /** The number of each object in S3; undefined for one that isn't whole. */
  #stored(): (number | undefined)[] {
    return [...this.server.objects.values()].map(({ path }) => {
      const known = this.#numbers.get(path) ?? this.#numberOf(path)
      if (known !== undefined) this.#numbers.set(path, known)
      return known
    })
  }

  #all(): number[] {
    return Array.from({ length: this.finished }, (_, index) => index + 1)
  }

  #numberOf(path: string): number | undefined {
    try {
      return this.#footage.numberIn(readFileSync(path))
    } catch {
      return undefined // it has moved on
    }
  }

  #said(): string {
    return this.#daemon?.lines.slice(-100).join('\n') ?? ''
  }
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.mp4'))
    .map(({ name }) => name)
}
