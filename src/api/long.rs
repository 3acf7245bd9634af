//! Work that walks over a whole list (a forecast, a filter of an audience): millions of customers, each a little computing. It is done on a
//! thread of its own, so that no thread that answers requests stands still for it, and one at a time, whoever asks how often.
use super::Problem;
use crate::clock::sleep_ms;
use tokio::sync::Semaphore;

/// One walk at a time.
static TURN: Semaphore = Semaphore::const_new(1);
/// Whoever comes while another walks waits so long (milliseconds), and is then told to come again.
const PATIENCE_MS: u64 = 10_000;
/// When to come again (seconds).
const AGAIN_S: u64 = 15;

/// Does it. The turn is given back when the work has ended, also when whoever asked is gone.
pub(super) async fn at_length<T, E>(work: impl AsyncFnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    Problem: From<E>,
{
    let busy = || Problem::unavailable("another walk over a list (a forecast, a submission with `where`) is under way; try again").after(AGAIN_S);
    let turn = tokio::select! {
        turn = TURN.acquire() => turn.map_err(|_| busy())?,
        () = sleep_ms(PATIENCE_MS) => return Err(busy()),
    };
    let runtime = tokio::runtime::Handle::current();
    let done = actix_web::web::block(move || {
        let _turn = turn;
        runtime.block_on(work()).map_err(Problem::from)
    });
    done.await.map_err(|_| Problem::unavailable("the house is closing; try again"))?
}
