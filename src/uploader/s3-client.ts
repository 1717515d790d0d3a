import { S3Client } from '@aws-sdk/client-s3'
import { giveUpWhenQuiet } from './request-patience.ts'
import type { StoreClock } from './store-clock.ts'
import type { UpstreamLimit } from './upstream-limit.ts'

/** Which store, and who we are there. */
export interface S3ClientSettings {
  region: string
  /** An S3-compatible store; without it, AWS. */
  endpoint?: string
  /** Without them, the SDK's own chain. */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
}

/** A healthy store moves sooner, and one that is back must be noticed within 35 s. */
export const quietMs = 15_000

/** The SDK's client as all of ours use it: it gives up on what is quiet, and signs by the store's clock. */
export function createClient(
  { endpoint, region, credentials }: S3ClientSettings,
  clock: StoreClock,
  limit: UpstreamLimit | undefined,
): S3Client {
  const client = new S3Client({
    region,
    expectContinueHeader: false,
    // What is quiet is ended by giveUpWhenQuiet; this is for what it can't see.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 180_000 },
    // The SDK would warn on the console of what is an error to us anyway.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    ...(credentials ? { credentials } : {}),
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    ...(endpoint
      ? { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }
      : {}),
  })
  const { config } = client
  config.requestHandler = giveUpWhenQuiet(
    config.requestHandler,
    quietMs,
    limit,
  ) as typeof config.requestHandler
  goByStoreClock(client, clock)
  // It describes each request, for a logger that would not listen.
  client.middlewareStack.remove('loggerMiddleware')
  return client
}

/** The store refuses what is signed for another time than its own, and tells its own with each answer. */
function goByStoreClock({ middlewareStack, config }: S3Client, clock: StoreClock): void {
  middlewareStack.add(
    (next) => async (request) => {
      config.systemClockOffset = clock.offsetMs
      return next(request)
    },
    { step: 'build' },
  )
  middlewareStack.add(
    (next) => async (request) => {
      const answer = await next(request)
      clock.told((answer.response as { headers: Record<string, string> }).headers)
      return answer
    },
    // Innermost: an answer that is an error tells the time too.
    { step: 'deserialize', priority: 'low' },
  )
}
