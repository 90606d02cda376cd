alter table callbacks validate constraint among_open_known;
