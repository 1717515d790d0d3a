import assert from 'node:assert/strict'
import { once, setMaxListeners } from 'node:events'
import { utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Alerting } from '../../src/daemon/alerting.ts'
import type { Trouble } from '../../src/daemon/alerts.ts'
import type { Log } from '../../src/daemon/logger.ts'
import { HeldClock } from '../support/held-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const down: Trouble = { subject: 'camera Front', text: 'not recording: off', afterMs: 120_000 }

interface Running {
  alerting: Alerting
  startedAt: string
  stop: AbortController
  ended: Promise<void>
}

/** Two daemons of one installation that watch each other, under a clock of our own. */
class Pair {
  readonly clock = new HeldClock()
  /** What somebody was told, and by whom. */
  readonly told: string[] = []
  /** What is wrong with the recorder. */
  troubles: Trouble[] = []
  /** On a full disk it can only touch its status. */
  canSpeak = true
  readonly #folder: string
  readonly #heartbeatUrl: string | undefined
  readonly #last = new Map<string, object>()
  readonly #running = new Map<string, Running>()

  constructor(folder: string, heartbeatUrl?: string) {
    this.#folder = folder
    this.#heartbeatUrl = heartbeatUrl
  }

  start(...names: string[]): void {
    for (const daemon of names) {
      const say = (_: object, text: string): void => void this.told.push(`${daemon}: ${text}`)
      const log: Log = { debug() {}, info: say, warn() {}, error() {} }
      const alerting = new Alerting({
        ...{ daemon, other: daemon === 'recorder' ? 'uploader' : 'recorder', afterMs: 120_000 },
        ...{ webhookUrl: undefined, statusFolder: this.#folder, scrub: (text) => text },
        heartbeatUrl: daemon === 'uploader' ? this.#heartbeatUrl : undefined,
        ...{ lastStatus: this.#last.get(daemon), log, clock: this.clock },
      })
      if (daemon === 'recorder') alerting.on(async () => this.troubles)
      const stop = new AbortController()
      const startedAt = new Date(this.clock.now()).toISOString()
      setMaxListeners(0, stop.signal)
      const ended = alerting.run(stop.signal)
      this.#running.set(daemon, { alerting, startedAt, stop, ended })
    }
  }

  /** Lets time go by, in which those that run say how they are. */
  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += 2) {
      for (const name of this.#running.keys()) await this.#write(name)
      await this.clock.advance(2000)
      // The file system takes time that is not ours.
      while (this.clock.sleepers < this.#loops) await sleep(1)
    }
  }

  /** How many sleep when nobody has anything to do. */
  get #loops(): number {
    const beats = this.#heartbeatUrl !== undefined && this.#running.has('uploader')
    return this.#running.size + (beats ? 1 : 0)
  }

  /** Stops them in order. */
  async stop(...names: string[]): Promise<void> {
    for (const name of names) {
      await this.#end(name)
      await this.#write(name)
      this.#running.delete(name)
    }
  }

  async kill(...names: string[]): Promise<void> {
    for (const name of names) {
      await this.#end(name)
      this.#running.delete(name)
    }
  }

  async #end(name: string): Promise<void> {
    const { stop, ended } = this.#running.get(name) ?? {}
    stop?.abort()
    await ended
  }

  async #write(daemon: string): Promise<void> {
    const { alerting, startedAt } = this.#running.get(daemon) ?? {}
    const updatedAt = new Date(this.clock.now()).toISOString()
    const status = { startedAt, updatedAt, ...alerting?.status }
    const path = join(this.#folder, `${daemon}.json`)
    if (this.canSpeak) await writeFile(path, JSON.stringify(status))
    await utimes(path, this.clock.now() / 1000, this.clock.now() / 1000)
    this.#last.set(daemon, status)
  }
}

async function startPair(t: TestContext, heartbeatUrl?: string): Promise<Pair> {
  const pair = new Pair(await temporaryFolder(t), heartbeatUrl)
  pair.start('recorder', 'uploader')
  t.after(async () => pair.kill('recorder', 'uploader'))
  return pair
}

test('nobody is told of a restart, nor of many in a row', async (t) => {
  const pair = await startPair(t)
  for (let restart = 0; restart < 4; restart += 1) {
    pair.troubles = [down]
    await pair.pass(4)
    pair.troubles = []
    await pair.pass(50)
    await pair.stop('recorder', 'uploader')
    await pair.pass(6)
    pair.start('recorder', 'uploader')
  }
  await pair.pass(200)
  assert.deepEqual(pair.told, [])
})

test('each tells of the other when that is gone, and when it is back', async (t) => {
  for (const [gone, teller] of [
    ['recorder', 'uploader'],
    ['uploader', 'recorder'],
  ] as const) {
    const pair = await startPair(t)
    await pair.pass(60)
    await pair.kill(gone)
    await pair.pass(110)
    assert.deepEqual(pair.told, [])
    await pair.pass(20)
    const said = `${teller}: alert: the ${gone}: `
    assert.deepEqual(pair.told, [`${said}gone, or it hangs: no sign of life (for 2 min)`])
    pair.start(gone)
    await pair.pass(120)
    assert.equal(pair.told.length, 2, pair.told.join('\n'))
    assert.equal(pair.told[1], `${said}well again, after 2 min`)
  }
})

test('one that crashes again and again is told of, although it never falls silent', async (t) => {
  const pair = await startPair(t)
  await pair.pass(60)
  for (let life = 0; life < 12; life += 1) {
    await pair.kill('uploader')
    pair.start('uploader')
    await pair.pass(14)
  }
  assert.equal(pair.told.length, 1, pair.told.join('\n'))
  assert.match(pair.told[0] ?? '', /^recorder: alert: the uploader: gone, or it hangs/)
})

test('what a daemon had not told yet goes on after a crash, and begins anew after a stop', async (t) => {
  const pair = await startPair(t)
  pair.troubles = [down]
  await pair.pass(80)
  await pair.stop('recorder')
  pair.start('recorder')
  await pair.pass(80)
  assert.deepEqual(pair.told, [])
  await pair.kill('recorder')
  pair.start('recorder')
  await pair.pass(50)
  assert.equal(pair.told.length, 1, pair.told.join('\n'))
})

test('the heart beats each minute while all is well: not while something was told and is not over, nor while a daemon can say nothing', async (t) => {
  let beats = 0
  const server = createServer((_, response) => {
    beats += 1
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const pair = await startPair(t, `http://127.0.0.1:${port}/beat`)
  const beatsIn = async (seconds: number): Promise<number> => {
    const before = beats
    await pair.pass(seconds)
    return beats - before
  }
  assert.ok((await beatsIn(300)) >= 3)
  pair.troubles = [down]
  assert.ok((await beatsIn(116)) >= 1)
  assert.equal(await beatsIn(300), 0)
  pair.troubles = []
  assert.equal(await beatsIn(60), 0)
  assert.ok((await beatsIn(240)) >= 3)
  pair.canSpeak = false
  // The last beat may still be on its way.
  await pair.pass(20)
  assert.equal(await beatsIn(300), 0)
  pair.canSpeak = true
  assert.ok((await beatsIn(120)) >= 1)
})
