import fc from 'fast-check';

/**
 * Property tests try the same cases on every run, so that a run that fails can be repeated and a change is not
 * blamed for an old difference. `KB_SEED=$RANDOM npm test` looks for new ones.
 */
fc.configureGlobal({ seed: Number(process.env['KB_SEED'] ?? '20261120') });
