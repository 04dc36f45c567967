use super::*;

#[test]
fn what_is_dropped_is_given_back() {
    let budget = ByteBudget::of(100);
    let mut first = budget.take(60).expect("enough");
    assert!(budget.take(41).is_err());
    first.merge(budget.take(40).expect("enough"));
    assert_eq!(budget.held(), 100);
    first.shrink_to(30);
    assert_eq!(budget.held(), 30);
    first.shrink_to(50);
    drop(first);
    assert_eq!(budget.held(), 0);
    assert!(budget.take(usize::MAX).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_check_has_its_bytes_whatever_bodies_hold() {
    let budget = ByteBudget::with_pools([2 * ByteBudget::CHECK_SIZE, 100, 0]);
    let _bodies = budget.take(100).expect("enough");
    assert!(budget.take(1).is_err(), "the rest is for checks");
    let checks = [budget.take_for_check(0).await, budget.take_for_check(0).await];
    assert!(checks.iter().all(Result::is_ok), "the bytes of bodies are not theirs");
    assert!(budget.take_for_check(0).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn metrics_have_bytes_whatever_bodies_and_checks_hold() {
    let budget = ByteBudget::with_pools([ByteBudget::CHECK_SIZE, 100, 10]);
    let _all = [budget.take(100).expect("enough"), budget.take_for_check(0).await.expect("enough")];
    let metrics = budget.take_for_metrics(10).await.expect("enough");
    assert!(budget.take_for_metrics(1).await.is_err());
    drop(metrics);
    assert!(budget.take_for_metrics(10).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_in_time_is_taken() {
    let budget = ByteBudget::of(100);
    let first = budget.take(100).expect("enough");
    let mut second = tokio_test::task::spawn(budget.evicting(|| budget.take(60)));
    tokio_test::assert_pending!(second.poll());
    assert_eq!(budget.exhausted().await, Pool::Shared);
    drop(first);
    assert!(second.is_woken());
    let _second = tokio_test::assert_ready!(second.poll()).expect("enough");
    let begun = tokio::time::Instant::now();
    assert!(budget.evicting(|| budget.take(60)).await.is_err());
    assert_eq!(begun.elapsed(), EVICTION_TIMEOUT);
}

#[tokio::test]
async fn a_response_of_a_check_that_ran_is_never_refused() {
    let budget = ByteBudget::with_pools([ByteBudget::CHECK_SIZE, 0, 0]);
    let held = budget.take_for_check(0).await.expect("enough");
    let response = budget.hold(held, Response::new(Body::from(vec![b' '; 2 * ByteBudget::CHECK_SIZE])));
    assert_eq!(budget.held(), ByteBudget::CHECK_SIZE);
    drop(response);
    assert_eq!(budget.held(), 0);
}
