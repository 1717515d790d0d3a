import { basename } from 'node:path'
import { OpenFiles } from '../daemon/open-files.ts'
import { runDaemon, type DaemonContext } from '../daemon/run-daemon.ts'
import { ClosedSegments } from '../segments/closed-segments.ts'
import { Gaps } from '../segments/gaps.ts'
import { makeFolders } from '../segments/folders.ts'
import { readUploaderConfig, type UploaderConfig } from './config.ts'
import { removeTemporaries } from './rewrite.ts'
import { FreeSpace } from './free-space.ts'
import { Ledger } from './ledger.ts'
import { ProblemLog } from '../daemon/problem-log.ts'
import { keepPruned, pruneOne } from './pruner.ts'
import { S3ObjectStore } from './s3-object-store.ts'
import { SegmentFinder } from './segment-finder.ts'
import { shipSegment } from './ship-segment.ts'
import { SoundEncoder } from './sound-encoder.ts'
import { compareClocks } from './store-clock.ts'
import { checkStore, StoreHealth } from './store-health.ts'
import { KeyClaims } from './object-place.ts'
import { UploadQueue } from './upload-queue.ts'
import { UploadStatus } from './upload-status.ts'
import { diskTroubles, UploadLag } from './upload-troubles.ts'
import { UpstreamLimit } from './upstream-limit.ts'

await runDaemon({ name: 'uploader', configure: readUploaderConfig, run })

async function run(context: DaemonContext<UploaderConfig>, signal: AbortSignal): Promise<void> {
  const { config, log, clock } = context
  const { folders, prefix } = config
  await makeFolders(folders)
  const removed = await removeTemporaries(folders)
  if (removed > 0) log.info({ removed }, 'temporary files of an earlier crash removed')

  const shared = { ...config, log, clock, problems: new ProblemLog(log, clock) }
  const health = new StoreHealth(shared, () => queue.waiting.length)
  const limit =
    config.maxMbits === undefined ? undefined : new UpstreamLimit(config.maxMbits, clock)
  const store = health.watch(new S3ObjectStore(config.store, clock, limit))
  const ledger = new Ledger(folders.ledger)
  const status = new UploadStatus(folders, shared, context.lastStatus)
  const tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
  const gaps = new Gaps(folders.gaps)
  const closed = new ClosedSegments(folders.closed)
  const sounds: SoundEncoder = new SoundEncoder({
    ...shared,
    tools,
    onReady: (path) => queue.retry(path),
  })
  const begun = { startedMs: clock.now(), claims: new KeyClaims() }
  const shipping = { ...shared, ...begun, store, ledger, gaps, tools, closed, sounds }
  const pruning = { ...shared, store, ledger, closed, storeFails: () => health.isFailing }
  const queue: UploadQueue = new UploadQueue({
    ...shared,
    health,
    ship: async (...file) => shipSegment(shipping, ...file),
    onEnd: (path, end, seconds) => {
      if (end.why === 'changed') finder.hint(path)
      if (end.why !== 'shipped') return
      status.shipped({ file: basename(path), key: end.key, seconds, bytes: end.bytes })
      if (config.retentionMs === 0) void pruneOne(pruning, end.path, signal)
    },
  })
  const finder = new SegmentFinder({ ...shared, queue, openFiles: new OpenFiles() })
  const freeSpace = new FreeSpace({ ...pruning, queue, gaps })
  const isBusy = (): boolean => queue.waiting.length + queue.inFlight.length > 0
  const key = [prefix, '.check'].filter(Boolean).join('/')

  const lag = new UploadLag({ ...shared, queue, health }, context.lastStatus)
  context.publish(() => ({ ...status.of(queue, health, freeSpace.status), waitedMs: lag.waitedMs }))
  context.alertOn(async () => [
    ...(await lag.troubles()),
    ...diskTroubles(freeSpace.status, config.alerts.afterMs),
  ])
  await Promise.all([
    finder.run(signal),
    queue.run(signal),
    sounds.run(signal),
    checkStore({ ...shared, store, key, health, isBusy }, signal),
    keepPruned(pruning, signal),
    compareClocks({ ...shared, store }, signal),
    freeSpace.run(signal),
    status.keepLooking(signal),
  ])
}
