mod advice;
mod decision;
mod matching;
mod record;
mod search;
